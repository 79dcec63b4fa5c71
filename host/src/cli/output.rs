//! Standard output and standard error of the commands. Writing to somebody who has gone away never panics.

use std::io::{self, ErrorKind, Write};

/// Whether anybody still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reader {
    Listens,
    Gone,
}

/// Writes one line, or several, to standard output, at once.
pub fn print(text: &str) -> io::Result<Reader> {
    print_to(&mut io::stdout().lock(), text)
}

fn print_to(stream: &mut impl Write, text: &str) -> io::Result<Reader> {
    match writeln!(stream, "{text}").and_then(|()| stream.flush()) {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}

/// Writes to standard error; if even that is gone, nobody can be told.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_no_error() {
        assert_eq!(print_to(&mut Broken(ErrorKind::BrokenPipe), "x").unwrap(), Reader::Gone);
        assert!(print_to(&mut Broken(ErrorKind::StorageFull), "x").is_err());
        assert_eq!(print_to(&mut Vec::new(), "x").unwrap(), Reader::Listens);
    }
}
