//! What goes into the next request of a session.

use std::collections::VecDeque;

use super::Parcel;
use crate::wire::{FRAME_BYTES, MAX_BYTES, MAX_COMMANDS};

/// Takes parcels in order until the next would not fit. A parcel longer than `commands` (a batch) travels alone, and one
/// whose caller has gone does not travel.
pub(super) fn next_request(waiting: &mut VecDeque<Parcel>, commands: usize) -> Vec<Parcel> {
    let commands = commands.min(MAX_COMMANDS);
    let mut taken = Vec::with_capacity(waiting.len());
    let (mut taken_commands, mut taken_bytes) = (0, 0);
    while let Some(parcel) = waiting.front() {
        if parcel.reply.is_closed() {
            waiting.pop_front();
            continue;
        }
        let bytes: usize = parcel.commands.iter().map(|command| command.len() + FRAME_BYTES).sum();
        let fits = taken_commands + parcel.count <= commands && taken_bytes + bytes <= MAX_BYTES;
        if !fits && !taken.is_empty() {
            break;
        }
        taken_commands += parcel.count;
        taken_bytes += bytes;
        taken.extend(waiting.pop_front());
    }
    taken
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::oneshot;

    use super::*;
    use crate::answer::Error;
    use crate::node::Answered;

    type Waiter = oneshot::Receiver<Result<Answered, Error>>;

    fn parcel(commands: usize, bytes: usize) -> (Parcel, Waiter) {
        let (reply, waiter) = oneshot::channel();
        let count = commands;
        (Parcel { commands: vec![Bytes::from(vec![0; bytes]); commands], count, epoch: 1, reply }, waiter)
    }

    fn sizes(parcels: &[(usize, usize)], limit: usize) -> Vec<usize> {
        let (mut waiting, _waiters): (VecDeque<Parcel>, Vec<Waiter>) =
            parcels.iter().map(|(commands, bytes)| parcel(*commands, *bytes)).unzip();
        let mut sizes = Vec::new();
        while !waiting.is_empty() {
            sizes.push(next_request(&mut waiting, limit).iter().map(|parcel| parcel.count).sum());
        }
        sizes
    }

    #[test]
    fn single_commands_share_a_request_up_to_its_limit() {
        assert_eq!(sizes(&[(1, 50); 1_100], 512), vec![512, 512, 76]);
    }

    #[test]
    fn a_batch_longer_than_the_limit_travels_alone() {
        assert_eq!(sizes(&[(1, 50), (2_000, 50), (1, 50), (1, 50)], 512), vec![1, 2_000, 2]);
    }

    #[test]
    fn a_request_stays_below_its_bytes() {
        assert_eq!(sizes(&[(1, 400_000); 5], 512), vec![2, 2, 1]);
    }

    #[test]
    fn a_parcel_whose_caller_has_gone_is_not_sent() {
        let (gone, waiter) = parcel(1, 50);
        drop(waiter);
        let (wanted, _waiter) = parcel(2, 50);
        let taken = next_request(&mut [gone, wanted].into(), 512);
        assert_eq!(taken.iter().map(|parcel| parcel.count).collect::<Vec<_>>(), vec![2]);
    }
}
