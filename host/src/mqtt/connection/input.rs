//! Turns a socket into runs of whole and partial frames, without holding memory while nothing comes.
//!
//! Reads go into the thread's shared buffer. Only an unfinished frame is kept between two reads, in memory of its own,
//! which grows with what has arrived and not with what was announced.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::mqtt::codec;

/// Size of the blocks that sockets are read into.
const BLOCK: usize = 64 << 10;
/// With less room than this left, a new block is begun.
const MIN_READ: usize = 8 << 10;
/// An unfinished frame of this size is read to its end in its own memory, so that large ones are not copied again.
const DIRECT: usize = 4 << 10;

/// What was read and not used yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// The beginning of an unfinished frame.
    partial: BytesMut,
    /// Read, but not taken yet, because the connection may not take more messages now.
    paused: Bytes,
}

impl Input {
    /// `data` was read already.
    pub(super) fn new(data: Bytes) -> Input {
        // Empty, it would still hold on to the whole buffer that it is a part of.
        let paused = if data.is_empty() { Bytes::new() } else { data };
        Input { partial: BytesMut::new(), paused }
    }

    /// Whether there is something to take without reading.
    pub(super) fn is_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// The next run of bytes, beginning with a frame: what was paused, or else a fresh read. Empty at the end of the
    /// stream. Whatever of it is not used must be given back with [`Input::give_back`].
    pub(super) fn poll_next<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        block: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Bytes>> {
        if self.is_paused() {
            return Poll::Ready(Ok(std::mem::take(&mut self.paused)));
        }
        while self.partial.len() >= DIRECT {
            let missing = codec::frame_len(&self.partial).unwrap_or(BLOCK).saturating_sub(self.partial.len());
            if missing == 0 {
                return Poll::Ready(Ok(std::mem::take(&mut self.partial).freeze()));
            }
            let room = self.partial.capacity() - self.partial.len();
            if room == 0 {
                self.partial.reserve(missing.min(self.partial.len().max(BLOCK)));
            }
            let mut limited = (&mut self.partial).limit(missing);
            if ready!(pin!(stream.read_buf(&mut limited)).poll(cx))? == 0 {
                return Poll::Ready(Ok(Bytes::new()));
            }
        }
        block.clear();
        if block.capacity() < MIN_READ + self.partial.len() {
            block.reserve(BLOCK);
        }
        block.extend_from_slice(&self.partial);
        let read = pin!(stream.read_buf(block)).poll(cx);
        match read {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Bytes::new())),
            Poll::Ready(Ok(_)) => {
                self.partial = BytesMut::new();
                Poll::Ready(Ok(block.split().freeze()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Keeps `rest`, of which the first frame is not complete.
    pub(super) fn give_back_partial(&mut self, rest: &[u8]) {
        self.partial = BytesMut::from(rest);
    }

    /// Keeps `rest`, which may hold whole frames.
    pub(super) fn give_back(&mut self, rest: Bytes) {
        self.paused = rest;
    }

    /// Bytes that are held between reads.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.partial.capacity() + self.paused.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::io::AsyncWriteExt;

    /// Frames of many sizes, arriving in pieces of many sizes, come out whole and in order.
    #[tokio::test]
    async fn any_pieces_give_the_same_frames() {
        let sizes = [2_usize, 3, 100, 127, 128, 5000, 70_000, 2, 300_000, 9];
        let mut wire = BytesMut::new();
        for (n, size) in sizes.iter().enumerate() {
            wire.put_u8(0x30);
            let mut length = *size;
            while length >= 0x80 {
                wire.put_u8(length as u8 | 0x80);
                length >>= 7;
            }
            wire.put_u8(length as u8);
            wire.put_bytes(n as u8, *size);
        }
        for piece in [1, 7, 1000, 4096, 100_000] {
            let (mut near, mut far) = tokio::io::duplex(piece);
            let bytes = wire.clone();
            let writer = tokio::spawn(async move { far.write_all(&bytes).await });
            let (mut input, mut block, mut seen) = (Input::default(), BytesMut::new(), Vec::new());
            loop {
                let data = std::future::poll_fn(|cx| input.poll_next(&mut near, &mut block, cx)).await.unwrap();
                if data.is_empty() {
                    break;
                }
                let mut at = 0;
                while let Some(frame) = codec::cut(&data[at..], usize::MAX).unwrap() {
                    at += frame.bytes.len();
                    seen.push(frame.bytes.len());
                    assert!(frame.bytes.ends_with(&[seen.len() as u8 - 1, seen.len() as u8 - 1]));
                }
                input.give_back_partial(&data[at..]);
            }
            writer.await.unwrap().unwrap();
            let lengths: Vec<_> = seen.iter().map(|len| len - 2).collect();
            assert_eq!(lengths.len(), sizes.len(), "pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn an_idle_input_holds_nothing_and_an_announced_size_costs_nothing() {
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        let (mut input, mut block) = (Input::default(), BytesMut::new());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(input.poll_next(&mut near, &mut block, &mut cx).is_pending());
        assert_eq!(input.held(), 0);
        // 256 MB announced, 5000 bytes sent.
        far.write_all(&[0x30, 0xff, 0xff, 0xff, 0x7f]).await.unwrap();
        far.write_all(&[0; 5000]).await.unwrap();
        let Poll::Ready(Ok(data)) = input.poll_next(&mut near, &mut block, &mut cx) else { panic!() };
        input.give_back_partial(&data);
        assert!(input.poll_next(&mut near, &mut block, &mut cx).is_pending());
        assert!(input.held() < 200_000, "{}", input.held());
    }
}
