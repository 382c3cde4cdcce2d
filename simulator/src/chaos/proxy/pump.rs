//! One direction of a connection: bytes are taken in as they come, and given on in their order once nothing holds them back
//! and their time has come. What is on its way is bounded, so that a sender feels a link that is held, as it would a slow one.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Fate;
use super::rules::{End, Rules};

const CHUNK_BYTES: usize = 16 * 1_024;
/// Chunks on their way.
const CHUNKS: usize = 32;

/// Carries bytes until their source says that there are no more. An error also where the link is cut.
pub(super) async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    ends: (End, End),
    rules: &Rules,
    fate: &watch::Receiver<Fate>,
) -> io::Result<()> {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS);
    let take_in = async {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            let due = Instant::now() + rules.delay(ends.0, ends.1).map_or(Duration::ZERO, between);
            if sender.send((due, buffer[..read].to_vec())).await.is_err() {
                break;
            }
        }
        drop(sender);
        Ok::<(), io::Error>(())
    };
    let give_on = async {
        while let Some((due, chunk)) = chunks.recv().await {
            tokio::time::sleep_until(due).await;
            rules.passes(ends.0, ends.1).await;
            if *fate.borrow() == Fate::CutInFrame {
                to.write_all(&chunk[..chunk.len() / 2]).await?;
                return Err(io::Error::from(io::ErrorKind::ConnectionReset));
            }
            to.write_all(&chunk).await?;
        }
        rules.passes(ends.0, ends.1).await;
        to.shutdown().await
    };
    tokio::try_join!(take_in, give_on).map(|_| ())
}

/// A time between two, another one for each chunk: it need not be drawn from the seed, since when chunks come is not.
fn between((least, most): (Duration, Duration)) -> Duration {
    let spread = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX).max(1);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    least + Duration::from_nanos(crate::Dice::new(u64::from(now.subsec_nanos())).below(spread))
}
