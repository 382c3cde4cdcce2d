//! Every command that was acknowledged is asked once more under its id: the cluster must know that it has decided it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use holdfast_client::Client;
use holdfast_world::World;

use crate::history::{Answer, Asked, Command, History, Outcome, Recorder, SharedHistory, Standing, operations};
use crate::workloads::ask_again;

/// Commands that are asked again; of more, so many spread evenly over the season.
const MOST_ASKED: usize = 2_000;
/// How many at once.
const AT_ONCE: usize = 16;
/// The number of the first that asks, apart from those of the customers.
const FIRST_ASKER: u64 = 30_000;

/// Asks again what a season was told is done, for the history; gives what the cluster does not know any more.
pub async fn check(client: &Client, history: &SharedHistory, world: &World) -> Vec<String> {
    let acknowledged = acknowledged(&history.lock());
    let asked = stream::iter((FIRST_ASKER..).zip(acknowledged)).map(|(asker, commands)| {
        let recorder = Recorder::new(history.clone(), asker, Arc::clone(&world.clock), Duration::ZERO);
        async move {
            let outcome = ask_again(client, recorder, &commands).await;
            lost(&commands, &outcome)
        }
    });
    asked.buffer_unordered(AT_ONCE).filter_map(|lost| async move { lost }).collect().await
}

fn acknowledged(history: &History) -> Vec<Vec<Command>> {
    let operations = operations(history);
    let done = operations.iter().filter_map(|operation| match (operation.asked, &operation.standing) {
        (Asked::Commands(commands), Standing::Decided(answers)) => {
            answers.iter().any(|answer| matches!(answer, Answer::Done(_))).then(|| commands.clone())
        }
        _ => None,
    });
    let done: Vec<Vec<Command>> = done.collect();
    let step = done.len().div_ceil(MOST_ASKED).max(1);
    done.into_iter().step_by(step).collect()
}

/// What is wrong with what the cluster says of commands that it has acknowledged.
fn lost(commands: &[Command], outcome: &Outcome) -> Option<String> {
    let first = commands.first().map(|command| command.id)?;
    match outcome {
        Outcome::Answered(answers) => {
            let is_new = |answer: &Answer| matches!(answer, Answer::Done(done) if !done.replayed);
            answers
                .iter()
                .any(is_new)
                .then(|| format!("lost: command {first} was acknowledged, and is done anew: {}", shown(commands)))
        }
        other => {
            Some(format!("unanswered: command {first} was acknowledged, and asked again when all was whole: {other:?}"))
        }
    }
}

fn shown(commands: &[Command]) -> String {
    serde_json::to_string(commands).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done, receive, refused, unknown};
    use crate::history::Done;

    #[test]
    fn what_was_acknowledged_is_asked_again_and_nothing_else() {
        let story = Story::stocked()
            .command(2, 5, 6, receive("A", 1), unknown())
            .command(3, 7, 8, receive("A", 1), refused("UNKNOWN_SKU", &[]))
            .command(4, 9, 10, receive("A", 1), done(2, 11));
        let ids: Vec<u128> = acknowledged(&story.0).iter().map(|commands| commands[0].id.0).collect();
        assert_eq!(ids, [1, 4]);
    }

    #[test]
    fn an_acknowledged_command_that_is_done_anew_was_lost() {
        let commands = acknowledged(&Story::stocked().0).remove(0);
        let told = |replayed| Outcome::Answered(vec![Answer::Done(Done { replayed, ..Done::default() })]);
        assert_eq!(lost(&commands, &told(true)), None);
        assert!(lost(&commands, &told(false)).is_some_and(|what| what.starts_with("lost")));
        assert!(lost(&commands, &unknown()).is_some());
    }
}
