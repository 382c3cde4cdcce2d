//! After the sale: until every hold has ended, and every shard has heard it.

use std::time::Duration;

use holdfast_client::{Client, Consistency, Reservations};
use holdfast_proto::v1::{GetReplicaRequest, ReservationState};
use tokio::time::{Instant, sleep};

use crate::connect::failure_of;
use crate::failure::Failure;
use crate::members::Members;

/// How long that may take: a hold's time, and room.
const WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Waits until nothing is held, and no part of a reservation has anything to hear.
///
/// # Errors
///
/// Something is held still when the time is over: that is what the demo is there to find.
pub(super) async fn all_ended(members: &Members, client: &Client, shards: u32) -> Result<(), Failure> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let left = what_is_left(members, client, shards).await;
        match left {
            Ok(None) => return Ok(()),
            Ok(Some(what)) if Instant::now() >= deadline => return Err(Failure::check(what)),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Ok(Some(_)) | Err(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

/// Waits until no part of a reservation has anything to hear, on any replica.
///
/// # Errors
///
/// One has still when the time is over.
pub(super) async fn all_told(members: &Members, shards: u32) -> Result<(), Failure> {
    let deadline = Instant::now() + WITHIN;
    loop {
        match what_is_untold(members, shards).await {
            Ok(None) => return Ok(()),
            Ok(Some(what)) if Instant::now() >= deadline => return Err(Failure::check(what)),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Ok(Some(_)) | Err(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

async fn what_is_left(members: &Members, client: &Client, shards: u32) -> Result<Option<String>, Failure> {
    let held = Reservations { state: Some(ReservationState::Held), ..Reservations::default() };
    let held = client.reader(Consistency::Linearizable).reservations(held).take(1).await.map_err(failure_of)?;
    if let Some(reservation) = held.first() {
        return Ok(Some(format!("a hold has not ended: {reservation:?}")));
    }
    what_is_untold(members, shards).await
}

async fn what_is_untold(members: &Members, shards: u32) -> Result<Option<String>, Failure> {
    for shard in 0..shards {
        for (node, _) in members.nodes() {
            let replica = members.replica(node, GetReplicaRequest { shard, ..GetReplicaRequest::default() }).await?;
            if replica.unsettled_parts > 0 {
                let parts = replica.unsettled_parts;
                return Ok(Some(format!("shard {shard}: {parts} parts of reservations have something to hear still")));
            }
        }
    }
    Ok(None)
}
