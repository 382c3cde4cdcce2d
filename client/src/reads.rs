//! Reads of items, stock and reservations, as fresh as the caller asks.

use holdfast_proto::v1;
use holdfast_proto::v1::ConsistencyToken;
use holdfast_proto::v1::inventory_service_client::InventoryServiceClient;
use holdfast_world::GrpcChannel;

use crate::answer::Error;
use crate::call::Target;
use crate::core::Core;
use crate::ids::{CountId, ReceiptId, ReservationId, TransferId, slot_of};
use crate::listing::{Allocations, Backorders, Documents, Listing, Lots, Orders, Reservations};
use crate::wire::MAX_REPLY_BYTES;

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Consistency {
    /// Everything acknowledged before the read began is seen. Asks the shard's leader.
    #[default]
    Linearizable,
    /// Everything that this client was answered is seen; asks any replica. Linearizable where it was answered nothing yet.
    ReadYourWrites,
    /// Any replica, at once; the answer says how old it is.
    Stale,
    /// That node's replica, at once and in one attempt; the answer says how old it is.
    StaleAt(u64),
    /// Any replica that has applied at least this.
    AtLeast(ConsistencyToken),
}

/// What was read, and how fresh it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<T> {
    /// What was read.
    pub value: T,
    /// Position and age of the replica that answered.
    pub freshness: v1::ReadFreshness,
}

/// The levels of one SKU.
#[derive(Clone, Debug, PartialEq)]
pub struct Stock {
    /// One for each location asked for.
    pub levels: Vec<v1::StockLevel>,
    /// What may be promised, over them.
    pub atp: u64,
    /// Not 0: the SKU is a kit of this `kit_rev`, of which nothing is stocked ([`Reader::kit`]).
    pub kit_revision: u64,
}

/// Reads of one consistency.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    pub(crate) core: &'a Core,
    pub(crate) consistency: Consistency,
}

pub(crate) fn inventory(channel: GrpcChannel) -> InventoryServiceClient<GrpcChannel> {
    InventoryServiceClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES)
}

impl<'a> Reader<'a> {
    /// One item. `UNKNOWN_SKU` where there is none.
    pub async fn item(&self, sku: &str) -> Result<Read<v1::Item>, Error> {
        let (target, consistency) = self.how(self.core.shard_of(slot_of(sku)));
        let question = v1::GetItemRequest { sku: sku.to_owned(), consistency };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).get_item(request).await };
        let reply: v1::GetItemResponse = self.core.call(calling, question, ask).await?;
        Ok(self.read(reply.item.unwrap_or_default(), reply.freshness))
    }

    /// The quantities of a SKU, at one location or at every one.
    pub async fn stock(&self, sku: &str, location_id: Option<&str>) -> Result<Read<Stock>, Error> {
        let (target, consistency) = self.how(self.core.shard_of(slot_of(sku)));
        let location_id = location_id.unwrap_or_default().to_owned();
        let question = v1::GetStockRequest { sku: sku.to_owned(), location_id, consistency };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).get_stock(request).await };
        let reply: v1::GetStockResponse = self.core.call(calling, question, ask).await?;
        let v1::GetStockResponse { levels, atp, kit_revision, freshness } = reply;
        Ok(self.read(Stock { levels, atp, kit_revision }, freshness))
    }

    /// A kit with what one of it becomes, and how many could be held, at one location or wherever a component is: advice, read from
    /// several shards. `UNKNOWN_SKU` where there is no such kit. Always of now, whatever the reader's consistency.
    pub async fn kit(&self, sku: &str, location_id: Option<&str>) -> Result<v1::GetKitResponse, Error> {
        let target = Target::Leader(self.core.shard_of(slot_of(sku)));
        let location_id = location_id.unwrap_or_default().to_owned();
        let question = v1::GetKitRequest { sku: sku.to_owned(), location_id };
        let ask = |channel, request| async move { inventory(channel).get_kit(request).await };
        self.core.call(self.core.reading(target), question, ask).await
    }

    /// One reservation. `RESERVATION_NOT_FOUND` where there is none.
    pub async fn reservation(&self, id: ReservationId) -> Result<Read<v1::Reservation>, Error> {
        let (target, consistency) = self.how(self.core.shard_of(id.slot()));
        let question = v1::GetReservationRequest { reservation_id: Some(id.into()), consistency };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).get_reservation(request).await };
        let reply: v1::GetReservationResponse = self.core.call(calling, question, ask).await?;
        Ok(self.read(reply.reservation.unwrap_or_default(), reply.freshness))
    }

    /// The lots of a SKU, by id. `UNKNOWN_SKU` where there is no such item.
    pub async fn lots(&self, sku: &str) -> Result<Read<Vec<v1::Lot>>, Error> {
        Ok(self.lots_of(sku, "", "", 0).await?.0)
    }

    /// At most so many of them behind one, by id (empty: from the first); and whether there are more. 0: all.
    pub async fn some_lots(&self, sku: &str, after: &str, limit: u32) -> Result<(Read<Vec<v1::Lot>>, bool), Error> {
        self.lots_of(sku, "", after, limit).await
    }

    /// One lot of a SKU. `UNKNOWN_LOT` where there is none.
    pub async fn lot(&self, sku: &str, lot_id: &str) -> Result<Read<v1::Lot>, Error> {
        let (Read { mut value, freshness }, _) = self.lots_of(sku, lot_id, "", 0).await?;
        Ok(Read { value: value.pop().unwrap_or_default(), freshness })
    }

    async fn lots_of(
        &self,
        sku: &str,
        lot_id: &str,
        after: &str,
        limit: u32,
    ) -> Result<(Read<Vec<v1::Lot>>, bool), Error> {
        let (target, consistency) = self.how(self.core.shard_of(slot_of(sku)));
        let (sku, lot_id, after_lot_id) = (sku.to_owned(), lot_id.to_owned(), after.to_owned());
        let question = v1::GetLotsRequest { sku, lot_id, consistency, after_lot_id, limit };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).get_lots(request).await };
        let reply: v1::GetLotsResponse = self.core.call(calling, question, ask).await?;
        Ok((self.read(reply.lots, reply.freshness), reply.more))
    }

    /// The limits per customer of a SKU, by age, with what that customer has under each; empty: nobody. `UNKNOWN_SKU` where there is
    /// no such item.
    pub async fn limits(&self, sku: &str, customer: &str) -> Result<Read<Vec<v1::CustomerLimit>>, Error> {
        let (target, consistency) = self.how(self.core.shard_of(slot_of(sku)));
        let question = v1::GetLimitsRequest { sku: sku.to_owned(), customer: customer.to_owned(), consistency };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).get_limits(request).await };
        let reply: v1::GetLimitsResponse = self.core.call(calling, question, ask).await?;
        Ok(self.read(reply.limits, reply.freshness))
    }

    /// A page of the reservations that have or had units of a lot, oldest first, and the token of the next page. Begin with an
    /// empty token; an empty one comes back after the last page.
    pub async fn trace_lot(
        &self,
        sku: &str,
        lot_id: &str,
        page_token: &str,
    ) -> Result<(Vec<v1::Reservation>, String), Error> {
        let (page, next) = self.trace_lot_page(sku, lot_id, page_token, 0).await?;
        Ok((page.value, next))
    }

    /// The same in pages of at most `limit`; 0: of 1 000.
    pub async fn trace_lot_page(
        &self,
        sku: &str,
        lot_id: &str,
        page_token: &str,
        limit: u32,
    ) -> Result<(Read<Vec<v1::Reservation>>, String), Error> {
        let (target, consistency) = self.how(self.core.shard_of(slot_of(sku)));
        let (sku, lot_id, page_token) = (sku.to_owned(), lot_id.to_owned(), page_token.to_owned());
        let question = v1::TraceLotRequest { sku, lot_id, page_token, limit, consistency };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).trace_lot(request).await };
        let reply: v1::TraceLotResponse = self.core.call(calling, question, ask).await?;
        Ok((self.read(reply.reservations, reply.freshness), reply.next_page_token))
    }

    /// One transfer. `TRANSFER_NOT_FOUND` where there is none.
    pub async fn transfer(&self, id: TransferId) -> Result<Read<v1::Transfer>, Error> {
        let (target, consistency) = self.how(self.core.shard_of(id.slot()));
        let question = v1::GetTransferRequest { transfer_id: Some(id.into()), consistency };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).get_transfer(request).await };
        let reply: v1::GetTransferResponse = self.core.call(calling, question, ask).await?;
        Ok(self.read(reply.transfer.unwrap_or_default(), reply.freshness))
    }

    /// One expected receipt. `RECEIPT_NOT_FOUND` where there is none.
    pub async fn receipt(&self, id: ReceiptId) -> Result<Read<v1::Receipt>, Error> {
        let (target, consistency) = self.how(self.core.shard_of(id.slot()));
        let question = v1::GetReceiptRequest { receipt_id: Some(id.into()), consistency };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).get_receipt(request).await };
        let reply: v1::GetReceiptResponse = self.core.call(calling, question, ask).await?;
        Ok(self.read(reply.receipt.unwrap_or_default(), reply.freshness))
    }

    /// The transfers that match, shard by shard, oldest first within a shard.
    #[must_use]
    pub fn transfers(&self, which: Documents) -> Listing<'a, v1::Transfer> {
        let shard = which.sku.as_ref().map(|sku| self.core.shard_of(slot_of(sku)));
        let listing = Listing::new(*self, which);
        if let Some(shard) = shard { listing.of_shard(shard) } else { listing }
    }

    /// What campaigns have, or have had, shard by shard.
    #[must_use]
    pub fn allocations(&self, which: Allocations) -> Listing<'a, v1::Allocation> {
        let shard = which.sku.as_ref().map(|sku| self.core.shard_of(slot_of(sku)));
        let listing = Listing::new(*self, which);
        if let Some(shard) = shard { listing.of_shard(shard) } else { listing }
    }

    /// What is promised without stock, shard by shard; of each SKU and location in the order in which it is filled.
    #[must_use]
    pub fn backorders(&self, which: Backorders) -> Listing<'a, v1::Backorder> {
        let shard = which.sku.as_ref().map(|sku| self.core.shard_of(slot_of(sku)));
        let listing = Listing::new(*self, which);
        if let Some(shard) = shard { listing.of_shard(shard) } else { listing }
    }

    /// The expected receipts that match, shard by shard, oldest first within a shard.
    #[must_use]
    pub fn receipts(&self, which: Documents) -> Listing<'a, v1::Receipt> {
        let shard = which.sku.as_ref().map(|sku| self.core.shard_of(slot_of(sku)));
        let listing = Listing::new(*self, which);
        if let Some(shard) = shard { listing.of_shard(shard) } else { listing }
    }

    /// One count. `COUNT_NOT_FOUND` where there is none.
    pub async fn count(&self, id: CountId) -> Result<Read<v1::Count>, Error> {
        let (target, consistency) = self.how(self.core.shard_of(id.slot()));
        let question = v1::GetCountRequest { count_id: Some(id.into()), consistency };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).get_count(request).await };
        let reply: v1::GetCountResponse = self.core.call(calling, question, ask).await?;
        Ok(self.read(reply.count.unwrap_or_default(), reply.freshness))
    }

    /// The counts that match, shard by shard, oldest first within a shard.
    #[must_use]
    pub fn counts(&self, which: Documents) -> Listing<'a, v1::Count> {
        let shard = which.sku.as_ref().map(|sku| self.core.shard_of(slot_of(sku)));
        let listing = Listing::new(*self, which);
        if let Some(shard) = shard { listing.of_shard(shard) } else { listing }
    }

    /// The order of a reservation. `ORDER_NOT_FOUND` where there is none.
    pub async fn order(&self, id: ReservationId) -> Result<Read<v1::Order>, Error> {
        let (target, consistency) = self.how(self.core.shard_of(id.slot()));
        let question = v1::GetOrderRequest { reservation_id: Some(id.into()), consistency };
        let calling = self.core.reading(target);
        let ask = |channel, request| async move { inventory(channel).get_order(request).await };
        let reply: v1::GetOrderResponse = self.core.call(calling, question, ask).await?;
        Ok(self.read(reply.order.unwrap_or_default(), reply.freshness))
    }

    /// The orders with external steps that match, shard by shard, by the age of their reservations.
    #[must_use]
    pub fn orders(&self, which: Orders) -> Listing<'a, v1::Order> {
        Listing::new(*self, which)
    }

    /// All lots of which units lie somewhere, shard by shard.
    #[must_use]
    pub fn all_lots(&self, which: Lots) -> Listing<'a, v1::Lot> {
        Listing::new(*self, which)
    }

    /// All items, shard by shard, in the order of their SKUs within a shard.
    #[must_use]
    pub fn items(&self) -> Listing<'a, v1::Item> {
        Listing::new(*self, ())
    }

    /// The quantities of all SKUs, shard by shard, in the order of their SKUs within a shard.
    #[must_use]
    pub fn stocks(&self) -> Listing<'a, v1::StockLevel> {
        Listing::new(*self, ())
    }

    /// The reservations that match, shard by shard, oldest first within a shard.
    #[must_use]
    pub fn reservations(&self, which: Reservations) -> Listing<'a, v1::Reservation> {
        Listing::new(*self, which)
    }

    /// Who is asked about a shard, and what it is told.
    pub(crate) fn how(&self, shard: u32) -> (Target, Option<v1::Consistency>) {
        use v1::consistency::Level;
        let (target, level) = match self.consistency {
            Consistency::Linearizable => (Target::Leader(shard), Level::Linearizable(true)),
            Consistency::ReadYourWrites => {
                self.core.learned.token(shard).map_or((Target::Leader(shard), Level::Linearizable(true)), |token| {
                    (Target::Any, Level::AtLeast(token))
                })
            }
            Consistency::Stale => (Target::Any, Level::Stale(true)),
            Consistency::StaleAt(node_id) => (Target::Node(node_id), Level::Stale(true)),
            // A token is of one shard; of the others it says nothing.
            Consistency::AtLeast(token) if token.shard != shard => (Target::Leader(shard), Level::Linearizable(true)),
            Consistency::AtLeast(token) => (Target::Any, Level::AtLeast(token)),
        };
        (target, Some(v1::Consistency { level: Some(level) }))
    }

    pub(crate) fn read<T>(&self, value: T, freshness: Option<v1::ReadFreshness>) -> Read<T> {
        let freshness = freshness.unwrap_or_default();
        // A stale replica's clock and position are not news; a token is a lower bound and may be learned of any.
        self.core.learned.learn(&[], freshness.log_time_ms);
        Read { value, freshness }
    }
}
