//! Channels as the public asks for them: looked up once a second at most, so that a product page does not ask the leader of the
//! cluster's records each time it is shown.

use std::time::Duration;

use holdfast_client::Client;
use holdfast_proto::v1::{self, ErrorReason};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::problem::Problem;
use crate::wire::shortened;

/// As long as a CDN may keep what is made of them.
const KEPT: Duration = Duration::from_secs(1);

/// The channels, and when they were looked up.
#[derive(Debug, Default)]
pub(crate) struct KnownChannels(Mutex<Option<(Instant, Vec<v1::Channel>)>>);

impl KnownChannels {
    /// A channel as it was a second ago at most. Those who ask at once wait for one look.
    pub(crate) async fn find(&self, client: &Client, channel_id: &str) -> Result<v1::Channel, Problem> {
        let mut known = self.0.lock().await;
        if known.as_ref().is_none_or(|(looked_up, _)| looked_up.elapsed() >= KEPT) {
            *known = Some((Instant::now(), client.channels(None).await?));
        }
        let channels = known.as_ref().map_or(&[][..], |(_, channels)| channels);
        found(channels, channel_id)
    }
}

fn found(channels: &[v1::Channel], channel_id: &str) -> Result<v1::Channel, Problem> {
    channels.iter().find(|channel| channel.channel_id == channel_id).cloned().ok_or_else(|| {
        let detail = format!("there is no channel `{}`", shortened(channel_id));
        Problem { field: "channel_id".to_owned(), ..Problem::of(ErrorReason::UnknownChannel, detail) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_is_not_there_is_unknown_by_name() {
        let web = v1::Channel { channel_id: "web".to_owned(), ..v1::Channel::default() };
        assert_eq!(found(std::slice::from_ref(&web), "web"), Ok(web.clone()));
        let problem = found(&[web], "app").unwrap_err();
        assert_eq!((problem.status, problem.reason, problem.field.as_str()), (404, "UNKNOWN_CHANNEL", "channel_id"));
    }
}
