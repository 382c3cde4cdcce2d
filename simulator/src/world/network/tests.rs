//! What the network may do to its users, each as a claim. The service is an echo: what it is sent comes back.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use holdfast_world::{Lane, World};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt;

use crate::world::{Decay, Weather};
use crate::{Crash, HostId, Simulation, Trace};

const SERVER: HostId = HostId(1);
const CLIENT: HostId = HostId(2);
const ADDRESS: &str = "n1:7400";
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Echo;

impl tonic::server::NamedService for Echo {
    const NAME: &'static str = "echo";
}

impl tower::Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

fn simulation(seed: u64) -> Simulation {
    let mut simulation = Simulation::new(seed, Trace::new().into());
    simulation.add_host(SERVER, "n1");
    simulation.add_host(CLIENT, "c1");
    simulation.start(SERVER, serve);
    simulation
}

async fn serve(world: World) {
    let shutdown = Box::pin(pending());
    let serving = world.network.serve(ADDRESS, Routes::new(Echo), Default::default(), shutdown).await;
    serving.expect("the address is free").await;
}

/// An open call: what is put into `said` comes back by [`Talk::heard`].
struct Talk {
    said: mpsc::Sender<Bytes>,
    response: Response<Body>,
}

async fn talk(world: &World, timeout: Option<&str>) -> Result<Talk, String> {
    let (said, words) = mpsc::channel(16);
    let words = tokio_stream::wrappers::ReceiverStream::new(words);
    let body = Body::new(StreamBody::new(words.map(|word| Ok::<_, Infallible>(Frame::data(word)))));
    let mut request = Request::post("/echo/talk").body(body).expect("the request is well formed");
    if let Some(timeout) = timeout {
        request.headers_mut().insert("grpc-timeout", timeout.parse().expect("the header is well formed"));
    }
    let channel =
        world.network.channel(ADDRESS, Lane::Client, Duration::from_secs(1)).expect("the address is well formed");
    let response = channel.oneshot(request).await.map_err(|error| error.to_string())?;
    Ok(Talk { said, response })
}

impl Talk {
    async fn say(&mut self, word: &'static str) {
        // An error means that the call has broken; `heard` tells.
        let _ = self.said.send(Bytes::from_static(word.as_bytes())).await;
    }

    async fn heard(&mut self) -> Result<String, String> {
        match self.response.body_mut().frame().await {
            Some(Ok(frame)) => {
                Ok(String::from_utf8_lossy(frame.data_ref().expect("the echo sends no trailers")).into())
            }
            Some(Err(status)) => Err(status.message().to_owned()),
            None => Err("the end".to_owned()),
        }
    }
}

/// What a client has heard so far.
type Heard = Arc<Mutex<Vec<Result<String, String>>>>;

/// Starts a client that says "a word" every 10 ms within one call, and notes what it hears.
fn start_chatter(simulation: &mut Simulation) -> Heard {
    let heard = Heard::default();
    let notes = heard.clone();
    simulation.start(CLIENT, |world| async move {
        let mut talk = talk(&world, None).await.expect("the server answers");
        loop {
            talk.say("a word").await;
            let word = talk.heard().await;
            let ended = word.is_err();
            notes.lock().unwrap().push(word);
            if ended {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    heard
}

fn count(heard: &Heard) -> usize {
    heard.lock().unwrap().len()
}

#[test]
fn a_stream_arrives_in_order_and_ends() {
    let mut simulation = simulation(1);
    let heard = simulation.run(CLIENT, LIMIT, |world| async move {
        let mut talk = talk(&world, None).await.unwrap();
        let mut heard = Vec::new();
        for word in ["one", "two", "three"] {
            talk.say(word).await;
        }
        talk.said = mpsc::channel(1).0;
        for _ in 0..4 {
            heard.push(talk.heard().await.unwrap_or_else(|end| end));
        }
        heard
    });
    assert_eq!(heard.unwrap(), ["one", "two", "three", "the end"]);
}

#[test]
fn a_cut_link_delivers_nothing_and_once_it_is_healed_its_streams_have_broken_and_new_calls_pass() {
    let mut simulation = simulation(1);
    let heard = start_chatter(&mut simulation);
    simulation.run_for(Duration::from_secs(1));
    let before = count(&heard);
    assert!(before > 10);

    simulation.net().cut(SERVER, CLIENT);
    simulation.run_for(LIMIT);
    assert_eq!(count(&heard), before);

    simulation.net().heal(SERVER, CLIENT);
    simulation.run_for(LIMIT);
    assert_eq!(count(&heard), before + 1, "a stream that lost a frame carries nothing more");
    assert_eq!(heard.lock().unwrap().last().unwrap().clone().unwrap_err(), "the connection was reset");
    simulation.crash(CLIENT, Crash::Kill);
    let heard = start_chatter(&mut simulation);
    simulation.run_for(Duration::from_secs(1));
    assert!(count(&heard) > 10);
}

#[test]
fn a_link_cut_one_way_still_carries_the_other_way() {
    let mut simulation = simulation(1);
    simulation.net().cut_way(SERVER, CLIENT);
    let lines = simulation.trace().count();
    let answered =
        simulation.run(CLIENT, Duration::from_secs(5), |world| async move { talk(&world, None).await.is_ok() });
    assert_eq!(answered, None);
    // The request, and the answer that was lost.
    assert!(simulation.trace().count() >= lines + 2);
}

#[test]
fn a_call_whose_answer_was_lost_ends_when_no_keep_alive_is_answered() {
    let mut simulation = simulation(1);
    simulation.net().cut_way(SERVER, CLIENT);
    let error = Arc::new(Mutex::new(None));
    let noted = error.clone();
    simulation.start(CLIENT, |world| async move {
        let failed = talk(&world, None).await.err();
        *noted.lock().unwrap() = failed;
    });
    simulation.run_for(Duration::from_secs(5));
    simulation.net().heal(SERVER, CLIENT);
    simulation.run_for(Duration::from_secs(5));
    assert_eq!(*error.lock().unwrap(), None, "what was lost is not sent again");
    simulation.run_for(Duration::from_secs(10));
    assert_eq!(error.lock().unwrap().as_deref().map(|why| why.contains("reset")), Some(true));
}

#[test]
fn the_deadline_of_a_request_holds_over_a_cut_link() {
    let mut simulation = simulation(1);
    simulation.net().cut(SERVER, CLIENT);
    let outcome = simulation.run(CLIENT, LIMIT, |world| async move {
        let error = talk(&world, Some("250m")).await.err();
        (world.clock.monotonic(), error)
    });
    let (after, error) = outcome.unwrap();
    assert_eq!(after, Duration::from_millis(250));
    assert!(error.unwrap().contains("timeout expired"));
}

#[test]
fn a_dead_process_refuses_and_its_streams_break() {
    let mut simulation = simulation(1);
    let heard = start_chatter(&mut simulation);
    simulation.run_for(Duration::from_secs(1));
    simulation.crash(SERVER, Crash::Kill);
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(heard.lock().unwrap().last().unwrap().clone().unwrap_err(), "the connection was reset");
    simulation.crash(CLIENT, Crash::Kill);

    let error = simulation.run(CLIENT, LIMIT, |world| async move { talk(&world, None).await.err().unwrap() }).unwrap();
    assert!(error.contains("connection refused"), "{error}");
    simulation.start(SERVER, serve);
    simulation.run_for(Duration::from_secs(1));
    let answered = simulation.run(CLIENT, LIMIT, |world| async move { talk(&world, None).await.is_ok() });
    assert_eq!(answered, Some(true));
}

#[test]
fn a_body_that_always_has_more_is_let_go_of_once_nobody_reads_it() {
    let mut simulation = simulation(1);
    let taken = Arc::new(AtomicU64::new(0));
    let count = taken.clone();
    simulation.start(CLIENT, |world| async move {
        let frames = std::iter::repeat_with(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"more")))
        });
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let request = Request::post("/echo/talk").body(body).expect("the request is well formed");
        let channel = world.network.channel(ADDRESS, Lane::Client, Duration::from_secs(1)).expect("well formed");
        // Its answer is kept, and never read.
        let _kept = channel.oneshot(request).await;
        pending::<()>().await;
    });
    simulation.run_for(Duration::from_secs(1));
    assert!(taken.load(Ordering::Relaxed) > 0, "some of it was sent");
    simulation.crash(SERVER, Crash::Kill);
    simulation.run_for(Duration::from_secs(1));
    let before = taken.load(Ordering::Relaxed);
    simulation.run_for(Duration::from_secs(10));
    assert_eq!(taken.load(Ordering::Relaxed), before);
}

#[test]
fn the_break_of_a_stream_is_not_seen_over_a_cut_link() {
    let mut simulation = simulation(1);
    let heard = start_chatter(&mut simulation);
    simulation.run_for(Duration::from_secs(1));
    simulation.net().cut(SERVER, CLIENT);
    simulation.crash(SERVER, Crash::PowerLoss);
    simulation.run_for(LIMIT);
    assert!(heard.lock().unwrap().iter().all(Result::is_ok));
}

#[test]
fn a_caller_that_lets_go_of_a_call_ends_it_at_the_server() {
    #[derive(Clone)]
    struct Held(Arc<AtomicU64>);
    struct Count(Arc<AtomicU64>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    impl tonic::server::NamedService for Held {
        const NAME: &'static str = "echo";
    }
    impl tower::Service<Request<Body>> for Held {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;
        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _request: Request<Body>) -> Self::Future {
            self.0.fetch_add(1, Ordering::Relaxed);
            let count = Count(self.0.clone());
            Box::pin(async move {
                let _count = count;
                pending().await
            })
        }
    }

    let held = Arc::new(AtomicU64::new(0));
    let mut simulation = Simulation::new(1, Trace::new().into());
    simulation.add_host(SERVER, "n1");
    simulation.add_host(CLIENT, "c1");
    let service = Held(held.clone());
    simulation.start(SERVER, |world| async move {
        let serving = world.network.serve(ADDRESS, Routes::new(service), Default::default(), Box::pin(pending())).await;
        serving.unwrap().await;
    });
    let let_go = Arc::new(AtomicBool::new(false));
    let signal = let_go.clone();
    simulation.start(CLIENT, |world| async move {
        let call = talk(&world, None);
        let wait = async {
            while !signal.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            biased;
            _ = call => unreachable!("the service never answers"),
            () = wait => {}
        }
    });
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(held.load(Ordering::Relaxed), 1);
    let_go.store(true, Ordering::Relaxed);
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(held.load(Ordering::Relaxed), 0);
}

#[test]
fn an_address_is_served_once_and_only_by_its_own_host() {
    let mut simulation = simulation(1);
    simulation.run_for(Duration::from_millis(10));
    let error = simulation.run(CLIENT, LIMIT, |world| async move {
        let serving = world.network.serve(ADDRESS, Routes::new(Echo), Default::default(), Box::pin(pending())).await;
        serving.err().map(|error| error.kind())
    });
    assert_eq!(error.unwrap(), Some(std::io::ErrorKind::AddrNotAvailable));
}

#[test]
fn one_seed_gives_one_trace_and_another_seed_another() {
    let hash = |seed| {
        let mut simulation = simulation(seed);
        let heard = start_chatter(&mut simulation);
        simulation.run_for(Duration::from_secs(2));
        simulation.net().cut_way(CLIENT, SERVER);
        simulation.run_for(Duration::from_secs(1));
        simulation.crash(SERVER, Crash::PowerLoss);
        simulation.start(SERVER, serve);
        simulation.net().heal(CLIENT, SERVER);
        simulation.run_for(Duration::from_secs(1));
        assert!(count(&heard) > 10);
        simulation.trace().hash()
    };
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_connection_that_breaks_resets_its_streams_at_both_ends_and_new_calls_pass() {
    let mut simulation = simulation(1);
    let heard = start_chatter(&mut simulation);
    simulation.run_for(Duration::from_secs(1));
    simulation.net().break_between(SERVER, CLIENT);
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(heard.lock().unwrap().last().unwrap().clone().unwrap_err(), "the connection was reset");
    simulation.crash(CLIENT, Crash::Kill);
    let heard = start_chatter(&mut simulation);
    simulation.run_for(Duration::from_secs(1));
    assert!(count(&heard) > 10);
    assert_eq!(simulation.net().break_calls("/echo/other"), 0);
    assert_eq!(simulation.net().break_calls("/talk"), 1);
    simulation.run_for(Duration::from_secs(1));
    assert!(heard.lock().unwrap().last().unwrap().is_err());
}

#[test]
fn a_stream_that_loses_a_frame_stalls_and_then_breaks() {
    let mut simulation = simulation(1);
    let heard = start_chatter(&mut simulation);
    simulation.run_for(Duration::from_secs(1));
    let weather = Weather { stalls_ppm: 1_000_000, stall_ms: 5_000, ..Weather::default() };
    simulation.net().set_weather(CLIENT, SERVER, weather);
    simulation.run_for(Duration::from_millis(10));
    let before = count(&heard);
    let errs = |heard: &Heard| heard.lock().unwrap().iter().filter(|word| word.is_err()).count();
    assert!(simulation.run_until(Duration::from_secs(6), |_| errs(&heard) == 1));
    assert!(count(&heard) <= before + 2, "words come through a stalled connection");
    assert_eq!(heard.lock().unwrap().last().unwrap().clone().unwrap_err(), "the connection was reset");
}

#[test]
fn a_late_frame_delays_those_behind_it_and_changes_no_order() {
    let mut simulation = simulation(1);
    for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        let weather = Weather { late_ppm: 300_000, late_ms: 400, ..Weather::default() };
        simulation.net().set_weather(from, to, weather);
    }
    let (heard, took) = simulation
        .run(CLIENT, LIMIT, |world| async move {
            let mut talk = talk(&world, None).await.unwrap();
            let words = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
            let mut heard = String::new();
            for word in words {
                talk.say(word).await;
            }
            for _ in words {
                heard += &talk.heard().await.unwrap();
            }
            (heard, world.clock.monotonic())
        })
        .unwrap();
    assert_eq!(heard, "abcdefghijkl");
    assert!(took > Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_call_that_was_carried_out_may_be_answered_by_a_reset() {
    let mut simulation = simulation(1);
    let weather = Weather { lost_answer_ppm: 1_000_000, ..Weather::default() };
    simulation.net().set_weather(SERVER, CLIENT, weather);
    let error = simulation.run(CLIENT, LIMIT, |world| async move { talk(&world, None).await.err().unwrap() }).unwrap();
    assert!(error.contains("reset"), "{error}");
    simulation.net().heal_all();
    let answered = simulation.run(CLIENT, LIMIT, |world| async move { talk(&world, None).await.is_ok() });
    assert_eq!(answered, Some(true));
}

#[test]
fn a_bit_flips_in_every_frame_of_the_calls_that_decay_and_in_no_other() {
    let mut simulation = simulation(1);
    let heard = start_chatter(&mut simulation);
    let noise = |calls| Decay { calls, ppm: 1_000_000 };
    let hear = |simulation: &mut Simulation| {
        simulation.run_for(Duration::from_millis(200));
        heard.lock().unwrap().drain(..).map(Result::unwrap).collect::<Vec<_>>()
    };
    let is_whole = |words: &[String]| !words.is_empty() && words.iter().all(|word| word == "a word");
    simulation.net().begin_decay(noise("another"));
    assert!(is_whole(&hear(&mut simulation)));
    simulation.net().begin_decay(noise("talk"));
    hear(&mut simulation);
    let spoiled = hear(&mut simulation);
    // One on the way there, one on the way back, which may be the same.
    assert!(spoiled.iter().filter(|word| *word != "a word").count() * 2 > spoiled.len(), "{spoiled:?}");
    simulation.net().end_decay(noise("talk"));
    hear(&mut simulation);
    assert!(is_whole(&hear(&mut simulation)));
    assert!(simulation.net().flipped()["talk"] > 10);
}
