//! The page of each error under docs/errors/, compiled in, so that it is at hand where there is no network and no checkout.

use holdfast_proto::v1::ErrorReason;

/// What the reason means, who causes it, what to do, and whether it may be asked again. Empty for one that this program does not know.
pub const fn page_of(reason: ErrorReason) -> &'static str {
    match reason {
        ErrorReason::Unspecified => "",
        ErrorReason::InvalidArgument => include_str!("../../docs/errors/INVALID_ARGUMENT.md"),
        ErrorReason::BatchTooLarge => include_str!("../../docs/errors/BATCH_TOO_LARGE.md"),
        ErrorReason::ChainSpansShards => include_str!("../../docs/errors/CHAIN_SPANS_SHARDS.md"),
        ErrorReason::LinesSpanShards => include_str!("../../docs/errors/LINES_SPAN_SHARDS.md"),
        ErrorReason::LinesMoveTogether => include_str!("../../docs/errors/LINES_MOVE_TOGETHER.md"),
        ErrorReason::LinesElsewhere => include_str!("../../docs/errors/LINES_ELSEWHERE.md"),
        ErrorReason::InsufficientStock => include_str!("../../docs/errors/INSUFFICIENT_STOCK.md"),
        ErrorReason::BackorderCapExceeded => include_str!("../../docs/errors/BACKORDER_CAP_EXCEEDED.md"),
        ErrorReason::ComponentUnavailable => include_str!("../../docs/errors/COMPONENT_UNAVAILABLE.md"),
        ErrorReason::QuantityOverflow => include_str!("../../docs/errors/QUANTITY_OVERFLOW.md"),
        ErrorReason::ItemNotSellable => include_str!("../../docs/errors/ITEM_NOT_SELLABLE.md"),
        ErrorReason::HoldShort => include_str!("../../docs/errors/HOLD_SHORT.md"),
        ErrorReason::NotReleased => include_str!("../../docs/errors/NOT_RELEASED.md"),
        ErrorReason::LotRequired => include_str!("../../docs/errors/LOT_REQUIRED.md"),
        ErrorReason::LotExpired => include_str!("../../docs/errors/LOT_EXPIRED.md"),
        ErrorReason::LotBlocked => include_str!("../../docs/errors/LOT_BLOCKED.md"),
        ErrorReason::ShelfLifeTooShort => include_str!("../../docs/errors/SHELF_LIFE_TOO_SHORT.md"),
        ErrorReason::TooManyLots => include_str!("../../docs/errors/TOO_MANY_LOTS.md"),
        ErrorReason::SaleNotStarted => include_str!("../../docs/errors/SALE_NOT_STARTED.md"),
        ErrorReason::SaleEnded => include_str!("../../docs/errors/SALE_ENDED.md"),
        ErrorReason::AllocationExhausted => include_str!("../../docs/errors/ALLOCATION_EXHAUSTED.md"),
        ErrorReason::AllocationExceedsAvailable => include_str!("../../docs/errors/ALLOCATION_EXCEEDS_AVAILABLE.md"),
        ErrorReason::CustomerRequired => include_str!("../../docs/errors/CUSTOMER_REQUIRED.md"),
        ErrorReason::CustomerLimitExceeded => include_str!("../../docs/errors/CUSTOMER_LIMIT_EXCEEDED.md"),
        ErrorReason::OrderLimitExceeded => include_str!("../../docs/errors/ORDER_LIMIT_EXCEEDED.md"),
        ErrorReason::AdmissionTokenInvalid => include_str!("../../docs/errors/ADMISSION_TOKEN_INVALID.md"),
        ErrorReason::RevisionMismatch => include_str!("../../docs/errors/REVISION_MISMATCH.md"),
        ErrorReason::Exists => include_str!("../../docs/errors/EXISTS.md"),
        ErrorReason::ExistsWithDifferent => include_str!("../../docs/errors/EXISTS_WITH_DIFFERENT.md"),
        ErrorReason::KitRevisionMismatch => include_str!("../../docs/errors/KIT_REVISION_MISMATCH.md"),
        ErrorReason::KitCycle => include_str!("../../docs/errors/KIT_CYCLE.md"),
        ErrorReason::IdTooOld => include_str!("../../docs/errors/ID_TOO_OLD.md"),
        ErrorReason::IdFromFuture => include_str!("../../docs/errors/ID_FROM_FUTURE.md"),
        ErrorReason::ReservationNotFound => include_str!("../../docs/errors/RESERVATION_NOT_FOUND.md"),
        ErrorReason::ReservationExpired => include_str!("../../docs/errors/RESERVATION_EXPIRED.md"),
        ErrorReason::AlreadyCommitted => include_str!("../../docs/errors/ALREADY_COMMITTED.md"),
        ErrorReason::AlreadyReleased => include_str!("../../docs/errors/ALREADY_RELEASED.md"),
        ErrorReason::AlreadyFulfilled => include_str!("../../docs/errors/ALREADY_FULFILLED.md"),
        ErrorReason::ExceedsHeldQuantity => include_str!("../../docs/errors/EXCEEDS_HELD_QUANTITY.md"),
        ErrorReason::ExceedsFulfilled => include_str!("../../docs/errors/EXCEEDS_FULFILLED.md"),
        ErrorReason::ExtendLimitReached => include_str!("../../docs/errors/EXTEND_LIMIT_REACHED.md"),
        ErrorReason::LinkedCommandFailed => include_str!("../../docs/errors/LINKED_COMMAND_FAILED.md"),
        ErrorReason::UnknownSku => include_str!("../../docs/errors/UNKNOWN_SKU.md"),
        ErrorReason::UnknownLocation => include_str!("../../docs/errors/UNKNOWN_LOCATION.md"),
        ErrorReason::UnknownLot => include_str!("../../docs/errors/UNKNOWN_LOT.md"),
        ErrorReason::UnknownCampaign => include_str!("../../docs/errors/UNKNOWN_CAMPAIGN.md"),
        ErrorReason::UnknownChannel => include_str!("../../docs/errors/UNKNOWN_CHANNEL.md"),
        ErrorReason::NotLeader => include_str!("../../docs/errors/NOT_LEADER.md"),
        ErrorReason::StaleRoute => include_str!("../../docs/errors/STALE_ROUTE.md"),
        ErrorReason::Overloaded => include_str!("../../docs/errors/OVERLOADED.md"),
        ErrorReason::OrderUndecided => include_str!("../../docs/errors/ORDER_UNDECIDED.md"),
        ErrorReason::Unavailable => include_str!("../../docs/errors/UNAVAILABLE.md"),
        ErrorReason::StorageFull => include_str!("../../docs/errors/STORAGE_FULL.md"),
        ErrorReason::OutcomeUnknown => include_str!("../../docs/errors/OUTCOME_UNKNOWN.md"),
        ErrorReason::WrongCluster => include_str!("../../docs/errors/WRONG_CLUSTER.md"),
        ErrorReason::TransferNotFound => include_str!("../../docs/errors/TRANSFER_NOT_FOUND.md"),
        ErrorReason::ReceiptNotFound => include_str!("../../docs/errors/RECEIPT_NOT_FOUND.md"),
        ErrorReason::AlreadyEnded => include_str!("../../docs/errors/ALREADY_ENDED.md"),
        ErrorReason::ExceedsInTransit => include_str!("../../docs/errors/EXCEEDS_IN_TRANSIT.md"),
        ErrorReason::CountNotFound => include_str!("../../docs/errors/COUNT_NOT_FOUND.md"),
        ErrorReason::CountInProgress => include_str!("../../docs/errors/COUNT_IN_PROGRESS.md"),
        ErrorReason::SkuIsKit => include_str!("../../docs/errors/SKU_IS_KIT.md"),
        ErrorReason::KitTooLarge => include_str!("../../docs/errors/KIT_TOO_LARGE.md"),
        ErrorReason::ShardHalted => include_str!("../../docs/errors/SHARD_HALTED.md"),
        ErrorReason::OrderNotFound => include_str!("../../docs/errors/ORDER_NOT_FOUND.md"),
        ErrorReason::OrderOpen => include_str!("../../docs/errors/ORDER_OPEN.md"),
        ErrorReason::OrderEnded => include_str!("../../docs/errors/ORDER_ENDED.md"),
        ErrorReason::StepNotRunning => include_str!("../../docs/errors/STEP_NOT_RUNNING.md"),
        ErrorReason::UnknownEndpoint => include_str!("../../docs/errors/UNKNOWN_ENDPOINT.md"),
        ErrorReason::QueueClosed => include_str!("../../docs/errors/QUEUE_CLOSED.md"),
        ErrorReason::QueueFull => include_str!("../../docs/errors/QUEUE_FULL.md"),
        ErrorReason::DrawNotCommitted => include_str!("../../docs/errors/DRAW_NOT_COMMITTED.md"),
        ErrorReason::DrawSeedMismatch => include_str!("../../docs/errors/DRAW_SEED_MISMATCH.md"),
        ErrorReason::LimitNotAsked => include_str!("../../docs/errors/LIMIT_NOT_ASKED.md"),
    }
}

/// Every reason that has a page, in the order of the table.
pub fn every_reason() -> impl Iterator<Item = ErrorReason> {
    // Protobuf's numbers of reasons; one that is not given yet is passed over.
    (1..1_000).filter_map(|number| ErrorReason::try_from(number).ok())
}

/// The first sentence of a reason's page.
pub fn sentence_of(reason: ErrorReason) -> String {
    let page = page_of(reason).split_once("\n\n").map_or("", |(_, rest)| rest);
    let paragraph = page.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
    paragraph[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_page_of_its_own_that_says_what_the_table_says() {
        for reason in every_reason() {
            let (name, faces, page) = (reason.name(), reason.faces(), page_of(reason));
            assert!(page.starts_with(&format!("# {name}\n\n")), "{name}: its page begins with its name");
            let sections: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
            assert_eq!(sections, ["## Who causes it", "## What to do", "## Retry and effect"], "{name}");
            assert!(page.contains("\n```sh\n"), "{name}: it says what to type");
            assert!(page.contains(&format!("\n- Retry `{}`: ", faces.retry.name())), "{name}");
            assert!(page.contains(&format!("\n- Effect `{}`: ", faces.effect.name())), "{name}");
            let faces = format!("\n- HTTP {}, gRPC {:?}, exit status {}.\n", faces.http, faces.code, faces.exit);
            assert!(page.ends_with(&faces), "{name}: {faces}");
        }
        assert!(every_reason().count() >= 74);
    }

    #[test]
    fn the_index_has_each_page_with_its_first_sentence() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
        let index = std::fs::read_to_string(path).expect("docs/errors.md is there");
        for reason in every_reason() {
            let (name, sentence) = (reason.name(), sentence_of(reason));
            let line = format!("- [{name}](errors/{name}.md): {sentence}");
            assert!(index.lines().any(|known| known == line), "docs/errors.md lacks:\n{line}");
        }
    }
}
