//! One client's connection: a single future that reads, decides, hands over, acknowledges and delivers.
//!
//! Each wake-up does all that is possible and then writes once. It waits for nothing but its socket, its bell, its
//! acknowledgements, room in the pipeline and its timer; memory is held only while something is under way.

mod aliases;
mod asking;
mod deliver;
mod handshake;
mod inbound;
mod input;
mod scratch;
mod subscribe;
#[cfg(test)]
mod tests;
mod topics;

pub use handshake::{Peer, Refused, open};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Sleep;

use self::aliases::Aliases;
use self::asking::Asking;
use self::input::Input;
use self::scratch::Scratch;
use self::topics::Topics;
use super::acks::Acks;
use super::acl::ClientRules;
use super::auth::Grant;
use super::broker::{Broker, Now};
use super::codec::{AckKind, Decoder, Encoder};
use super::events::reason_name;
use super::mailbox::{Kick, Link};
use super::packet::Reason;
use super::patience::{Gone, Patience};
use super::session::Effect;
use super::sessions::{Attached, Farewell, LastWill, SessionCell};
use super::throttle::Throttle;
use super::traffic::{Kind, Traffic};
use crate::event::{Connection as About, PacketProperties};
use crate::message::{Client, ProtocolVersion};
use crate::pipeline::{Closed, ShardId};

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closed, or its socket broke.
    Lost,
    /// DISCONNECT; `normal` when the will is not wanted.
    Goodbye {
        normal: bool,
    },
    /// We close; an MQTT 5 client is told why.
    Close(Reason),
    Kicked(Kick),
}

/// What the client said when it left.
#[derive(Debug, Default)]
struct Goodbye {
    code: u8,
    properties: Option<Box<PacketProperties>>,
}

/// A hand-over that waits for room in the pipeline.
type Submission = Pin<Box<dyn Future<Output = Result<(), Closed>> + Send>>;

/// A connection with its session.
pub struct Connection<S> {
    stream: S,
    broker: Arc<Broker>,
    link: Arc<Link>,
    cell: Arc<SessionCell>,
    client: Arc<Client>,
    /// The connection as its events tell of it.
    about: Arc<About>,
    goodbye: Goodbye,
    rules: Arc<ClientRules>,
    /// What authentication granted beyond the rules of this node, if anything.
    grant: Option<Box<Grant>>,
    /// When that ends.
    expires: Option<Instant>,
    /// Questions to others about what no rule decides, if there is anybody to ask.
    asking: Option<Box<Asking>>,
    shard: ShardId,
    decoder: Decoder,
    encoder: Encoder,
    acks: Acks,
    topics: Topics,
    aliases: Aliases,
    input: Input,
    submission: Option<Submission>,
    /// The listener's limits on what this client may send, if it has any.
    throttle: Option<Box<Throttle>>,
    /// Written by us, not taken by the socket yet.
    out: BytesMut,
    /// Bytes of answers in `out` since there was last room for more than answers.
    answers: usize,
    /// The transport may hold bytes that it took.
    unflushed: bool,
    /// The session may hold packets that the connection before left unacknowledged.
    resending: bool,
    draining: bool,
    patience: Patience,
    timer: Option<Pin<Box<Sleep>>>,
    displaced_will: Option<LastWill>,
    failed: Option<End>,
}

/// Rounds of work in one wake-up, before other connections get their turn.
const ROUNDS: usize = 4;
/// With more than this to write, nothing new is produced.
const OUT_HIGH: usize = 64 << 10;
/// Seconds; a grant that lasts longer is looked at again then.
const FAR: i64 = 365 * 86_400;
/// How long a last word may take.
const FAREWELL: Duration = Duration::from_secs(2);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    #[expect(clippy::too_many_arguments, reason = "called in one place, with one value of each type")]
    fn new(
        stream: S,
        broker: Arc<Broker>,
        link: Arc<Link>,
        attached: Attached,
        about: Arc<About>,
        rules: Arc<ClientRules>,
        encoder: Encoder,
        aliases: u16,
        keep_alive: Option<Duration>,
    ) -> Box<Connection<S>> {
        broker.metrics.connections_accepted.add(1);
        broker.metrics.connections_current.add(1);
        let config = &broker.config;
        let client = about.client.clone();
        Box::new(Connection {
            shard: broker.ingress.shard_of(&client.id),
            decoder: Decoder { version: client.version, max_packet_size: config.max_packet_size.as_usize() },
            encoder,
            acks: Acks::default(),
            topics: Topics::new(config),
            aliases: Aliases::new(aliases.min(config.max_topic_alias)),
            input: Input::default(),
            submission: None,
            throttle: None,
            grant: None,
            expires: None,
            asking: None,
            out: BytesMut::new(),
            answers: 0,
            unflushed: false,
            resending: true,
            draining: false,
            patience: Patience::new(keep_alive, config.send_timeout.duration(), Instant::now()),
            timer: None,
            displaced_will: attached.displaced_will,
            failed: None,
            cell: attached.cell,
            stream,
            broker,
            link,
            client,
            about,
            goodbye: Goodbye::default(),
            rules,
        })
    }

    /// CONNACK is the first thing to write; `rest` came behind CONNECT.
    fn begin(&mut self, connack: BytesMut, rest: Bytes, said: bool) {
        self.out = connack;
        self.input = Input::new(rest);
        if !said {
            // Not even CONNACK fits what the client takes, and nothing may be said before it.
            self.failed = Some(End::Lost);
        }
    }

    /// Keeps what authentication granted, until it ends.
    fn remember(&mut self, grant: Grant) {
        let now = Now::read();
        self.expires = grant.expires_at.map(|at| {
            let seconds = at.saturating_sub(now.unix_millis / 1000).clamp(0, FAR);
            now.instant + Duration::from_secs(seconds.unsigned_abs())
        });
        self.grant = (!grant.is_plain()).then(|| Box::new(grant));
    }

    /// What was granted has ended: the client goes, or stays with no rights (EMQX: `disconnect_after_expire`).
    fn expire(&mut self) -> Result<(), End> {
        self.expires = None;
        if self.grant.as_ref().is_some_and(|grant| grant.disconnect) {
            return Err(End::Close(Reason::NotAuthorized));
        }
        self.refresh_rules();
        Ok(())
    }

    /// Judges anew all that was judged before.
    fn refresh_rules(&mut self) {
        self.rules = self.broker.resolve_rules(&self.client, self.grant.as_deref());
        self.asking = Asking::new(&self.broker);
        self.topics.forget();
    }

    /// Serves the client until one side ends it, then leaves the session.
    pub async fn run(mut self: Box<Self>) {
        if let Some(will) = self.displaced_will.take() {
            let broker = self.broker.clone();
            Box::pin(async move { broker.publish_will(will).await }).await;
        }
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        Box::pin(self.close(end)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        scratch::with(|scratch| {
            let mut out = std::mem::take(if self.out.is_empty() { &mut scratch.out } else { &mut self.out });
            let polled = self.turn(cx, scratch, &mut out);
            if out.is_empty() {
                scratch.out = out;
            } else {
                self.out = out;
            }
            match polled {
                Ok(()) => Poll::Pending,
                Err(end) => Poll::Ready(end),
            }
        })
    }

    /// All that can be done now; `Ok` when a wake-up for more is arranged.
    fn turn(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, out: &mut BytesMut) -> Result<(), End> {
        if let Some(end) = self.failed {
            return Err(end);
        }
        if let Some(throttle) = &mut self.throttle {
            throttle.resume(Instant::now());
        }
        for _ in 0..ROUNDS {
            let mut progress = self.link.bell.poll_rung(cx).is_ready();
            match self.link.kicked() {
                Some(Kick::Drain) => self.draining = true,
                Some(kick) => return Err(End::Kicked(kick)),
                None => {}
            }
            progress |= self.cell.signal.poll_settled(cx).is_ready();
            let before = out.len();
            self.release(out)?;
            progress |= self.poll_submission(cx)?;
            progress |= self.poll_answers(cx);
            // A client that takes nothing is heard all the same, up to that many answers: its DISCONNECT decides about
            // its will (MQTT-3.14.4-3), its acknowledgements about what is sent again.
            if !self.draining && self.may_take() && self.answers < OUT_HIGH {
                progress |= self.take_in(cx, scratch, out)?;
            }
            self.answers += out.len() - before;
            if !self.draining {
                progress |= self.deliver(out)?;
            }
            if !progress || out.len() >= OUT_HIGH {
                let wrote = self.write(cx, out)?;
                // Room to write is room to take in and to deliver.
                if !wrote && !progress {
                    if self.draining && self.is_settled() && out.is_empty() {
                        return Err(End::Kicked(Kick::Drain));
                    }
                    return self.poll_timer(cx);
                }
            }
        }
        self.write(cx, out)?;
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Whether another message may come in; if not, the socket is not read.
    fn may_take(&self) -> bool {
        let config = &self.broker.config;
        // A 3.1.1 client knows no Receive Maximum, so it is held to it this way.
        let owed =
            self.client.version == ProtocolVersion::V5 || self.acks.owed() < usize::from(config.max_inflight.max(1));
        self.submission.is_none()
            && !self.is_throttled()
            && !self.asking.as_ref().is_some_and(|asking| asking.is_waiting())
            && owed
            && self.acks.len() < config.max_outstanding.max(1)
            && self.acks.bytes() < config.max_outstanding_bytes.as_usize().max(1)
    }

    fn is_throttled(&self) -> bool {
        self.throttle.as_ref().is_some_and(|throttle| throttle.paused_until().is_some())
    }

    fn is_settled(&self) -> bool {
        self.acks.is_empty() && self.submission.is_none()
    }

    /// Writes the acknowledgements whose turn has come.
    fn release(&mut self, out: &mut BytesMut) -> Result<(), End> {
        let Some(mut released) = self.acks.release() else { return Ok(()) };
        let cell = self.cell.clone();
        let Some(mut session) = cell.lock(&self.link) else { return Err(End::Kicked(Kick::TakenOver)) };
        let (mut sent, mut refused) = (0, 0);
        let result = loop {
            let effect = session.handle_released(released);
            match effect {
                Effect::PubAck(_, reason) | Effect::PubRec(_, reason) if reason.is_error() => refused += 1,
                Effect::PubAck(..) | Effect::PubRec(..) => sent += 1,
                Effect::Close(_) => refused += 1,
                _ => {}
            }
            if let Err(end) = apply(effect, &self.encoder, &self.link.traffic, out) {
                break Err(end);
            }
            match self.acks.release() {
                Some(next) => released = next,
                None => break Ok(()),
            }
        };
        self.broker.metrics.acks_sent.add(sent);
        self.broker.metrics.acks_refused.add(refused);
        result
    }

    fn poll_submission(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Some(submission) = &mut self.submission else { return Ok(false) };
        match submission.as_mut().poll(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(done) => {
                self.submission = None;
                // The client could not send meanwhile.
                self.patience.heard(Instant::now());
                done.map(|()| true).map_err(|Closed| End::Close(Reason::ServerShuttingDown))
            }
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Result<bool, End> {
        let mut wrote = false;
        while !out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, out) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.broker.metrics.bytes_sent.add(n as u64);
                    self.link.traffic.bytes_sent.add(n as u64);
                    self.link.traffic.writes.add(1);
                    // Clearing keeps the whole buffer; advancing would eat it up.
                    if n == out.len() {
                        out.clear()
                    } else {
                        out.advance(n)
                    }
                    self.patience.unstalled();
                    (wrote, self.unflushed) = (true, true);
                }
                Poll::Ready(_) => return Err(End::Lost),
                Poll::Pending => {
                    self.patience.stalled(Instant::now);
                    if out.len() < OUT_HIGH {
                        self.answers = 0;
                    }
                    return Ok(wrote);
                }
            }
        }
        self.answers = 0;
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    self.patience.unstalled();
                }
                Poll::Ready(Err(_)) => return Err(End::Lost),
                Poll::Pending => {
                    self.patience.stalled(Instant::now);
                }
            }
        }
        Ok(wrote)
    }

    /// Waits for the time at which the client may be gone, may send again, or has no rights any more. The timer is only
    /// moved when it fires, not at each packet.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let unread = !self.may_take() || self.draining;
        let paused = self.throttle.as_ref().and_then(|throttle| throttle.paused_until());
        loop {
            let gone = self.patience.look_again(unread, Instant::now);
            let Some(at) = [gone, paused, self.expires].into_iter().flatten().min() else {
                self.timer = None;
                return Ok(());
            };
            let at = tokio::time::Instant::from_std(at);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            if timer.deadline() > at {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            let now = Instant::now();
            match self.patience.judge(unread, now) {
                None => self.timer = None,
                Some(Gone::Silent) => return Err(End::Close(Reason::KeepAliveTimeout)),
                Some(Gone::Stuck) => return Err(End::Lost),
            }
            if self.expires.is_some_and(|at| at <= now) {
                self.expire()?;
            }
            if paused.is_some_and(|until| until <= now) {
                // Another turn, in which it is read again.
                cx.waker().wake_by_ref();
                return Ok(());
            }
        }
    }

    /// Leaves the session, says what there is to say, and closes.
    async fn close(mut self: Box<Self>, end: End) {
        tracing::debug!(client = %self.client.id, ?end, "connection ended");
        let ended_at = Now::read();
        let reason_told = self.reason_of(end);
        let metrics = &self.broker.metrics;
        metrics.connections_current.sub(1);
        let farewell = match end {
            End::Goodbye { normal: true } => Farewell::Normal,
            _ => Farewell::Abrupt,
        };
        if let End::Close(reason) = end
            && !matches!(reason, Reason::KeepAliveTimeout | Reason::ServerShuttingDown)
            && reason.is_error()
        {
            metrics.protocol_errors.add(1);
        }
        let will = self.broker.sessions.detach(&self.cell, &self.link, farewell, ended_at);
        let reason = match end {
            End::Lost | End::Goodbye { .. } => None,
            End::Close(reason) => Some(reason),
            End::Kicked(Kick::TakenOver | Kick::Discarded) => Some(Reason::SessionTakenOver),
            End::Kicked(Kick::Drain | Kick::Abort) => Some(Reason::ServerShuttingDown),
            End::Kicked(Kick::Administrative) => Some(Reason::AdministrativeAction),
        };
        let (broker, about, submission) = (self.broker.clone(), self.about.clone(), self.submission.take());
        let properties = self.goodbye.properties.take();
        let left_behind = async {
            // What the client handed over before it went is still wanted.
            if let Some(submission) = submission {
                let _ = submission.await;
            }
            broker.events.disconnected(&about, reason_told, properties, ended_at.unix_millis);
            broker.sys.disconnected(&broker, &about, reason_told, ended_at);
            if let Some(will) = will {
                broker.publish_will(will).await;
            }
        };
        let last_word = async {
            if end != End::Lost {
                // Best effort: the peer may be gone, and then there is nobody to tell.
                let _ = tokio::time::timeout(FAREWELL, self.say_goodbye(end, reason)).await;
            }
        };
        tokio::join!(left_behind, last_word);
    }

    /// Writes what is left to write, and why we go, if we do. A client that made a mistake may be sending still.
    async fn say_goodbye(&mut self, end: End, reason: Option<Reason>) -> std::io::Result<()> {
        if reason.is_none_or(|reason| self.encoder.disconnect(&mut self.out, reason)) {
            self.stream.write_all(&self.out).await?;
        }
        self.stream.shutdown().await?;
        if matches!(end, End::Close(_)) {
            read_out(&mut self.stream).await?;
        }
        Ok(())
    }
}

/// Reads until the peer stops: closing on unread bytes would reset the connection, and what was said last with it.
async fn read_out<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<()> {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

impl<S> Connection<S> {
    /// EMQX's word for why the connection ended (rule-sql 3.12).
    fn reason_of(&self, end: End) -> &'static str {
        match end {
            End::Lost => "tcp_closed",
            End::Goodbye { .. } if self.goodbye.code == 0 => "normal",
            End::Goodbye { .. } => reason_name(self.goodbye.code),
            End::Close(reason) => reason_name(reason as u8),
            // Whoever finds that the session is gone does not know how it went; the link does.
            End::Kicked(Kick::TakenOver) if self.link.kicked() == Some(Kick::Discarded) => "discarded",
            End::Kicked(Kick::TakenOver) => "takenover",
            End::Kicked(Kick::Discarded) => "discarded",
            End::Kicked(Kick::Administrative) => "kicked",
            End::Kicked(Kick::Drain | Kick::Abort) => "server_shutting_down",
        }
    }
}

/// Does what the session asks for.
fn apply(effect: Effect, encoder: &Encoder, traffic: &Traffic, out: &mut BytesMut) -> Result<(), End> {
    let (kind, counted, id, reason) = match effect {
        Effect::Nothing => return Ok(()),
        Effect::PubAck(id, reason) => (AckKind::PubAck, Kind::PubAck, id, reason),
        Effect::PubRec(id, reason) => (AckKind::PubRec, Kind::PubRec, id, reason),
        Effect::PubRel(id, reason) => (AckKind::PubRel, Kind::PubRel, id, reason),
        Effect::PubComp(id, reason) => (AckKind::PubComp, Kind::PubComp, id, reason),
        Effect::Close(reason) => return Err(End::Close(reason)),
    };
    said(encoder.ack(out, kind, id, reason))?;
    traffic.sent.count(counted);
    Ok(())
}

/// A control packet that is larger than the client takes cannot be sent, and the standard has no other way.
fn said(fits: bool) -> Result<(), End> {
    if fits { Ok(()) } else { Err(End::Close(Reason::PacketTooLarge)) }
}
