//! One direction of a stream: the frames of a body, from the process that has it to the one that reads it.
//!
//! Frames arrive in order. Once one was lost nothing more arrives, as on a connection whose packets vanish, until keep-alives
//! that nobody answers break it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tonic::Status;
use tonic::body::Body;

use super::links::{Net, Way};
use super::weather::Line;
use crate::world::Life;

/// Frames under way at once; the writer waits for more room.
const WINDOW: usize = 64;

/// How often the end of a stream is told again while the link is cut.
const RETOLD_EVERY: Duration = Duration::from_millis(500);

/// A frame and when it arrives; `None` ends the stream.
type Stamped = (Duration, Option<Frame<Bytes>>);

/// The frames of a stream, to be bound to the process that reads them.
#[derive(Debug)]
pub(super) struct Unread {
    line: Arc<Line>,
    frames: mpsc::Receiver<Stamped>,
}

/// Opens a stream that starts at a simulated time: nothing of it arrives earlier.
pub(super) fn pipe(net: Arc<Net>, life: Arc<Life>, way: Way, line: Arc<Line>, start: Duration) -> (Outlet, Unread) {
    let (frames, unread) = mpsc::channel(WINDOW);
    (Outlet { net, life, way, line: line.clone(), frames, last: start, lost: 0 }, Unread { line, frames: unread })
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Outlet {
    net: Arc<Net>,
    life: Arc<Life>,
    way: Way,
    line: Arc<Line>,
    frames: mpsc::Sender<Stamped>,
    last: Duration,
    /// How many frames were sent since the first that was lost, itself included.
    lost: usize,
}

impl Outlet {
    /// Sends all frames of a body. Returns when it has ended, or erred, or nobody reads any more, or the connection breaks.
    pub(super) async fn send_all(self, body: Body) {
        let line = self.line.clone();
        tokio::select! {
            biased;
            () = line.broken() => {}
            () = self.send_frames(body) => {}
        }
    }

    async fn send_frames(mut self, mut body: Body) {
        loop {
            let frame = tokio::select! {
                biased;
                () = self.reader_gone() => return,
                frame = body.frame() => frame,
            };
            let is_read = match frame {
                Some(Ok(frame)) => self.send(Some(frame)).await,
                Some(Err(_)) => false,
                None => {
                    self.send(None).await;
                    false
                }
            };
            if !is_read {
                return;
            }
        }
    }

    /// Sends a frame, or loses it; false: nobody reads the stream any more, and that is known here.
    async fn send(&mut self, frame: Option<Frame<Bytes>>) -> bool {
        self.life.goes_on().await;
        let (kind, bytes) = match &frame {
            None => ("end", 0),
            Some(frame) => frame.data_ref().map_or(("trailers", 0), |data| ("data", data.len())),
        };
        let frame = frame.map(|frame| match frame.into_data() {
            Ok(data) => Frame::data(self.net.carry(self.life.now(), self.way, self.line.path(), data)),
            Err(trailers) => trailers,
        });
        let arrival = self.net.send(self.life.now(), self.last, self.way, kind, bytes);
        match arrival {
            Some(at) if self.lost == 0 => {
                self.last = at;
                if self.frames.send((at, frame)).await.is_err() {
                    self.reader_gone().await;
                    return false;
                }
            }
            _ => {
                if self.lost == 0 {
                    let line = self.line.clone();
                    tokio::spawn(async move { line.breaks().await });
                }
                self.lost += 1;
                if self.lost >= WINDOW {
                    // Nothing that was sent is ever acknowledged: the window stays full.
                    self.reader_gone().await;
                    return false;
                }
            }
        }
        true
    }

    /// Waits until the reader has let go of the stream and the news of it have come through.
    async fn reader_gone(&self) {
        self.frames.closed().await;
        news(&self.net, &self.life, self.way.back()).await;
    }
}

/// Waits for news that the other end tells: they take a delay, and are told again until the link lets them through.
pub(super) async fn news(net: &Net, life: &Life, way: Way) {
    loop {
        let delay = net.delay();
        let told = net.passes(way);
        tokio::time::sleep(delay).await;
        life.goes_on().await;
        if told && net.passes(way) {
            return;
        }
        tokio::time::sleep(RETOLD_EVERY).await;
    }
}

/// The reading end.
struct Inlet<K> {
    net: Arc<Net>,
    life: Arc<Life>,
    way: Way,
    line: Arc<Line>,
    frames: mpsc::Receiver<Stamped>,
    ended: bool,
    /// Kept until the stream has ended or is dropped.
    _kept: K,
}

impl Unread {
    /// The stream as a body of the process that reads it. `kept` is dropped with it.
    pub(super) fn into_body<K: Send + 'static>(self, net: Arc<Net>, life: Arc<Life>, way: Way, kept: K) -> Body {
        let inlet = Inlet { net, life, way, line: self.line, frames: self.frames, ended: false, _kept: kept };
        let frames = stream::unfold(inlet, |mut inlet| async move {
            let frame = inlet.next().await?;
            Some((frame, inlet))
        });
        Body::new(StreamBody::new(frames))
    }
}

impl<K> Inlet<K> {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Status>> {
        if self.ended {
            return None;
        }
        let Some((at, frame)) = self.frames.recv().await else {
            // The writer is gone before the end of the stream: it has died, or given up.
            self.ended = true;
            news(&self.net, &self.life, self.way).await;
            return Some(Err(reset()));
        };
        self.life.sleep_until(at).await;
        self.life.goes_on().await;
        if !self.net.passes(self.way) {
            // Lost on the last metre: nothing after it arrives either, whatever the writer sends.
            self.line.breaks().await;
            self.ended = true;
            news(&self.net, &self.life, self.way).await;
            return Some(Err(reset()));
        }
        self.ended = frame.is_none();
        frame.map(Ok)
    }
}

/// What is seen of a connection that broke: it says nothing of what the other end has done.
pub(super) fn reset() -> Status {
    Status::unknown("the connection was reset")
}
