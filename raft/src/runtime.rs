//! The one runtime that openraft runs on: tokio, with randomness that the simulator can seed.
//!
//! openraft draws its randomness (election time-outs) from its runtime by a static call. A thread that simulates sets a seed
//! with [`Runtime::seed_thread`]; on any other thread each generator is seeded by the operating system.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use holdfast_mutation::{Mutation, is_on};
use openraft::OptionalSend;
use openraft_rt::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use rand::SeedableRng;
use rand::rngs::SmallRng;

thread_local! {
    /// The next seed of this thread; `None`: the operating system's randomness.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// tokio, with seedable randomness.
#[derive(Debug)]
pub struct Runtime {
    tokio: TokioRuntime,
}

impl Runtime {
    /// From now on generators made on this thread follow from `seed`. With several simulated nodes on one thread, whoever
    /// steps them sets the node's own seed before each step, and keeps what [`Runtime::thread_seed`] gives after it.
    pub fn seed_thread(seed: u64) {
        SEED.set(Some(seed));
    }

    /// The seed that the next generator of this thread follows from, if one was set.
    #[must_use]
    pub fn thread_seed() -> Option<u64> {
        SEED.get()
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
fn next_seed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = SmallRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> SmallRng {
        match SEED.get() {
            Some(seed) if !is_on(Mutation::SystemRandomnessLeaks) => {
                SEED.set(Some(next_seed(seed)));
                SmallRng::seed_from_u64(seed)
            }
            _ => SmallRng::from_rng(&mut rand::rng()),
        }
    }

    fn new(threads: usize) -> Self {
        Self { tokio: TokioRuntime::new(threads) }
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.tokio.block_on(future)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, std::io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        TokioRuntime::spawn_blocking(work)
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn a_seeded_thread_draws_the_same_numbers_again() {
        let draw = || {
            Runtime::seed_thread(7);
            (0..4).map(|_| Runtime::thread_rng().next_u64()).collect::<Vec<_>>()
        };
        let drawn = std::thread::spawn(move || (draw(), draw())).join().unwrap();
        assert_eq!(drawn.0, drawn.1);
        assert_ne!(drawn.0[0], drawn.0[1]);
    }
}
