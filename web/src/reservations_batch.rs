//! Many things asked of reservations at once: `/v1/reservations:batch`. Each item is decided once under a key of its own, and
//! answered by itself.

use axum::http::StatusCode;
use futures_util::future::join_all;
use holdfast_client::{Client, Command, CommandKey};
use holdfast_proto::v1::command::Operation;
use holdfast_world::traces::{current, within};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::Instrument as _;
use utoipa::ToSchema;

use crate::asked::{Asked, read_item};
use crate::changes::{BatchAnswer, Each, command_of, success_of};
use crate::holds::{
    AmendRequest, CancelRequest, CommitRequest, ExtendRequest, FulfilRequest, ReleaseRequest, ReserveRequest,
    ReturnRequest,
};
use crate::idempotency::{Came, Change, Changed, First, KEY_HEADER, Waiting, id_of, key_of, key_of_part};
use crate::limits::check_batch;
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::tokens::Tokens;
use crate::wire::{CauseSaid, IdText};

/// One thing that is asked for: exactly one of the verbs, which all but `reserve` are about `reservation_id`.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BatchItem {
    /// What decides it once; made of the request's key and the item's number if it is not said.
    #[schema(nullable = false)]
    idempotency_key: Option<String>,
    #[schema(nullable = false)]
    reservation_id: Option<IdText>,
    #[schema(nullable = false)]
    reserve: Option<ReserveRequest>,
    #[schema(nullable = false)]
    amend: Option<AmendRequest>,
    #[schema(nullable = false)]
    commit: Option<CommitRequest>,
    #[schema(nullable = false)]
    release: Option<ReleaseRequest>,
    #[schema(nullable = false)]
    extend: Option<ExtendRequest>,
    #[schema(nullable = false)]
    fulfil: Option<FulfilRequest>,
    #[schema(nullable = false)]
    cancel: Option<CancelRequest>,
    #[schema(nullable = false)]
    r#return: Option<ReturnRequest>,
}

/// Many things at once. They are independent of one another; those of one shard are decided in their order.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "the schema; items are read one by one")]
pub(crate) struct BatchRequest {
    /// 1 to 500.
    items: Vec<BatchItem>,
}

/// The same with its items unread: one that cannot be read is answered by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unread {
    items: Vec<Box<RawValue>>,
}

/// Asks for many things at once; each is answered by itself.
#[utoipa::path(post, path = "/v1/reservations:batch", tag = "reservations", request_body = BatchRequest,
    responses((status = 200, description = "What became of each, in order", body = BatchAnswer<Done>)))]
pub(crate) async fn batch_reservations(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_conditions()?;
    let key = asked.key_needed()?;
    let Unread { items } = asked.body()?;
    check_batch(items.len(), "items")?;
    let client = asked.client()?;
    let (mut firsts, mut commands) = (Vec::new(), Vec::new());
    let mut under_way: Vec<Result<UnderWay, Problem>> = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let one = read_one(&item, key_of_part(key, at)).map_err(|problem| problem.within(&format!("items[{at}]")));
        under_way.push(one.and_then(|(key, command, status)| {
            let verb = command.verb();
            let change = Change::Command(Box::new(command.clone()));
            let came = id_of(key).map(|id| asked.web.keys.come(id, change)).transpose();
            let (answer, is_anothers) = match came.map_err(|problem| in_place(problem, at, verb))? {
                Some(Came::First(first, answer)) => {
                    firsts.push(first);
                    commands.push(command);
                    (answer, false)
                }
                Some(Came::Another(answer)) => (answer, true),
                None => return Err(in_place(Problem::invalid(KEY_HEADER, "is missing"), at, verb)),
            };
            Ok(UnderWay { answer, is_anothers, at, verb, status })
        }));
    }
    tokio::spawn(within(current(), carry_out(client, commands, firsts)).in_current_span());
    let answers = under_way.into_iter().map(|one| async move {
        let UnderWay { answer, is_anothers, at, verb, status } = one?;
        let success = success_of(answer.answer().await, is_anothers).map_err(|problem| in_place(problem, at, verb))?;
        let is_replayed = success.replayed || is_anothers;
        Ok((success, status, is_replayed))
    });
    let answers: Vec<Result<_, Problem>> = join_all(answers).await;
    let tokens: Tokens = answers.iter().flatten().filter_map(|(success, ..)| success.token).collect();
    let are_replayed = answers.iter().all(|answer| match answer {
        Ok((.., is_replayed)) => *is_replayed,
        Err(problem) => problem.replayed,
    });
    let each = answers.into_iter().map(|answer| match answer {
        Ok((success, status, _)) => Each::of(Ok(Done::from(&success)), status),
        Err(problem) => Each::of(Err(without_condition(problem)), 0),
    });
    let reply = Reply::ok(&BatchAnswer { results: each.collect() }).replayed(are_replayed);
    Ok(reply.seen_all(tokens))
}

/// An item that is under way: whose answer it waits for, and what it asks for.
struct UnderWay {
    answer: Waiting,
    is_anothers: bool,
    at: usize,
    verb: &'static str,
    /// Of its success.
    status: u16,
}

/// A problem of what an item asks for, its field as it stands in the batch.
fn in_place(problem: Problem, at: usize, verb: &str) -> Problem {
    match problem.field.as_str() {
        "" | "reservation_id" => problem.within(&format!("items[{at}]")),
        KEY_HEADER => Problem { field: format!("items[{at}].idempotency_key"), ..problem },
        _ => problem.within(&format!("items[{at}].{verb}")),
    }
}

async fn carry_out(client: Client, commands: Vec<Command>, firsts: Vec<First>) {
    let answers = client.execute_batch(commands).await;
    for (first, answer) in firsts.into_iter().zip(answers) {
        first.tell(answer.map(|success| Changed::Command(Box::new(success))));
    }
}

/// No item comes with a header of its own.
fn without_condition(problem: Problem) -> Problem {
    if problem.status == 412 { problem.with_status(409) } else { problem }
}

/// Reads one item: its key, its command, and the status of its success.
fn read_one(item: &RawValue, of_part: CommandKey) -> Result<(CommandKey, Command, u16), Problem> {
    let item: BatchItem = read_item(item)?;
    let key = match &item.idempotency_key {
        Some(text) => key_of(text, "idempotency_key")?,
        None => of_part,
    };
    let (operation, cause, status) = item.asks_for()?;
    Ok((key, command_of(operation, cause, Some(key)), status.as_u16()))
}

impl BatchItem {
    fn asks_for(self) -> Result<(Operation, Option<CauseSaid>, StatusCode), Problem> {
        let Self {
            idempotency_key: _,
            reservation_id,
            reserve,
            amend,
            commit,
            release,
            extend,
            fulfil,
            cancel,
            r#return,
        } = self;
        let mut asked = Vec::new();
        if let Some(mut it) = reserve {
            let cause = it.cause.take();
            asked.push((it.wire(), cause, StatusCode::CREATED));
        }
        let is_of_none = [amend.is_some(), commit.is_some(), release.is_some(), extend.is_some(), fulfil.is_some()]
            .into_iter()
            .chain([cancel.is_some(), r#return.is_some()])
            .all(|is_asked| !is_asked);
        if !is_of_none {
            let id = reservation_id
                .as_ref()
                .ok_or_else(|| Problem::invalid("reservation_id", "is missing: which reservation?"))?
                .reservation("reservation_id")?;
            macro_rules! about {
                ($($verb:expr),+) => {
                    $(if let Some(mut it) = $verb {
                        let cause = it.cause.take();
                        asked.push((it.wire(id), cause, StatusCode::OK));
                    })+
                };
            }
            about!(amend, commit, release, extend, fulfil, cancel, r#return);
        } else if reservation_id.is_some() && !asked.is_empty() {
            return Err(Problem::invalid("reservation_id", "is the cluster's to choose: leave it out of a reserve"));
        }
        match asked.pop() {
            Some(one) if asked.is_empty() => Ok(one),
            Some(_) => Err(Problem::invalid("", "asks for several things: an item has one verb")),
            None => {
                let detail = "asks for nothing: it has one of reserve, amend, commit, release, extend, fulfil, cancel and return";
                Err(Problem::invalid("", detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_client::ids::CommandId;
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "0190f3c4-5b1e-8a2b-9c3d-0000000000a1";

    fn of_part() -> CommandKey {
        CommandKey::Own(CommandId::of_key("0 under k"))
    }

    fn read(item: &Value) -> Result<(CommandKey, Command, u16), Problem> {
        read_one(&RawValue::from_string(item.to_string()).expect("it is JSON"), of_part())
    }

    fn refused(item: &Value) -> (u16, String) {
        let problem = read(item).unwrap_err().within("items[3]");
        (problem.status, problem.field)
    }

    #[test]
    fn a_field_that_stands_there_twice_is_refused() {
        let twice = r#"{"reserve":{"lines":[{"sku":"A","units":1}],"ttl_s":60,"ttl_s":900}}"#;
        let problem = read_one(&RawValue::from_string(twice.to_owned()).expect("it is JSON"), of_part()).unwrap_err();
        assert_eq!((problem.status, problem.detail.contains("duplicate field")), (400, true), "{problem:?}");
    }

    #[test]
    fn an_item_has_one_verb_and_a_key_of_its_own() {
        let reserve = json!({"reserve": {"lines": [{"sku": "A", "units": 2}]}});
        let (key, command, status) = read(&reserve).unwrap();
        assert_eq!((key, command.verb(), status), (of_part(), "reserve", 201));
        let commit = json!({"idempotency_key": "mine", "reservation_id": ID, "commit": {}});
        let (key, command, status) = read(&commit).unwrap();
        assert_eq!((key, command.verb(), status), (CommandKey::Own(CommandId::of_key("mine")), "commit", 200));
        for verb in ["release", "cancel", "fulfil"] {
            let item = json!({"reservation_id": ID, verb: {}});
            assert_eq!(read(&item).unwrap().1.verb(), verb);
        }
    }

    #[test]
    fn what_is_said_of_an_item_names_its_place_in_the_batch() {
        let field = |field: &str| in_place(Problem::invalid(field, "so"), 3, "reserve").field;
        assert_eq!(field("lines[0].units"), "items[3].reserve.lines[0].units");
        assert_eq!(field("reservation_id"), "items[3].reservation_id");
        assert_eq!(field(KEY_HEADER), "items[3].idempotency_key");
        assert_eq!(field(""), "items[3]");
    }

    #[test]
    fn an_item_that_cannot_be_read_is_told_where() {
        let at = |field: &str| (400, field.to_owned());
        assert_eq!(refused(&json!({"commit": {}})), at("items[3].reservation_id"));
        assert_eq!(refused(&json!({"reservation_id": "x", "commit": {}})), at("items[3].reservation_id"));
        assert_eq!(refused(&json!({"reservation_id": ID, "commit": {}, "release": {}})), at("items[3]"));
        assert_eq!(refused(&json!({})), at("items[3]"));
        assert_eq!(refused(&json!(7)), at("items[3]"));
        let units = json!({"reserve": {"lines": [{"sku": "A", "units": "two"}]}});
        assert_eq!(refused(&units), at("items[3].reserve.lines[0].units"));
        let own = json!({"reservation_id": ID, "reserve": {"lines": []}});
        assert_eq!(refused(&own), at("items[3].reservation_id"));
        assert_eq!(refused(&json!({"idempotency_key": "", "reserve": {"lines": []}})), at("items[3].idempotency_key"));
    }
}
