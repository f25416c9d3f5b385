//! A connection, read ahead of TLS.
//!
//! rustls takes 4 KiB at a time, which makes four or five system calls of a usual review. Here one takes all
//! that has arrived; what TLS does not want yet waits beside the connection, and most of the time nothing does.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

/// A usual review in its TLS record fits twice.
const AT_ONCE: usize = 32 << 10;

thread_local! {
    /// One for all connections of a thread, or a thousand idle ones would keep 32 MiB.
    static ARRIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; AT_ONCE]);
}

/// A connection and its room.
pub(super) struct Guest {
    stream: TcpStream,
    ahead: Ahead,
    _room: OwnedSemaphorePermit,
}

/// Bytes that have arrived and are not wanted yet.
#[derive(Default)]
struct Ahead {
    bytes: Vec<u8>,
    taken: usize,
}

// === impl Ahead ===

impl Ahead {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.bytes = bytes.to_vec();
        self.taken = 0;
    }

    /// As many as there is room for; the memory is given back with the last.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = &self.bytes[self.taken..];
        let many = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..many]);
        self.taken += many;
        if self.taken == self.bytes.len() {
            *self = Self::default();
        }
    }
}

// === impl Guest ===

impl Guest {
    pub(super) fn new(stream: TcpStream, room: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            ahead: Ahead::default(),
            _room: room,
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let guest = self.get_mut();
        if !guest.ahead.is_empty() {
            guest.ahead.give(buffer);
            return Poll::Ready(Ok(()));
        }
        ARRIVED.with_borrow_mut(|arrived| {
            let mut arrived = ReadBuf::new(arrived);
            ready!(Pin::new(&mut guest.stream).poll_read(context, &mut arrived))?;
            let arrived = arrived.filled();
            let (now, later) = arrived.split_at(arrived.len().min(buffer.remaining()));
            buffer.put_slice(now);
            if !later.is_empty() {
                guest.ahead.keep(later);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Guest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn what_arrives_at_once_is_given_in_pieces_and_then_not_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let room = Arc::new(Semaphore::new(1));
        let stream = listener.accept().await.unwrap().0;
        let mut guest = Guest::new(stream, room.try_acquire_owned().unwrap());
        let sent: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move { peer.write_all(&sent).await.unwrap() });
        let mut got = vec![0; expected.len()];
        for piece in got.chunks_mut(4096) {
            guest.read_exact(piece).await.unwrap();
        }
        writer.await.unwrap();
        assert!(got == expected);
        assert!(guest.ahead.is_empty());
        assert_eq!(guest.ahead.bytes.capacity(), 0);
        assert_eq!(
            guest.read(&mut [0; 10]).await.unwrap(),
            0,
            "the end is seen"
        );
    }
}
