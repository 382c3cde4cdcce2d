//! Listings: everything of one kind, page by page, one shard after the other.

use std::collections::VecDeque;
use std::future::Future;

use holdfast_proto::v1;
use holdfast_proto::v1::{ConsistencyToken, ReservationState};

use crate::answer::Error;
use crate::reads::{Read, Reader, inventory};

/// Which reservations are listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reservations {
    /// Only those in this state.
    pub state: Option<ReservationState>,
    /// Only those with this `order_ref`.
    pub order_ref: Option<String>,
}

/// Which lots are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lots {
    /// Only those that leave sale at that instant or before, in milliseconds since the Unix epoch.
    pub removal_until_ms: Option<u64>,
}

/// Which transfers, expected receipts or counts are listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Documents {
    /// Only those that have not ended.
    pub open_only: bool,
    /// Only those of this SKU.
    pub sku: Option<String>,
    /// Only those from, to or at this location.
    pub location_id: Option<String>,
}

/// Which backorders are listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backorders {
    /// Only those of this SKU.
    pub sku: Option<String>,
    /// Only those at this location.
    pub location_id: Option<String>,
}

/// Which orders with external steps are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Orders {
    /// Only those that have not ended.
    pub open_only: bool,
    /// Only those that somebody has to look at.
    pub stuck_only: bool,
}

/// Which allocations of campaigns are listed: those of a campaign, of a SKU, or of both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocations {
    /// Only those of this campaign.
    pub campaign_id: Option<String>,
    /// Only those of this SKU.
    pub sku: Option<String>,
}

/// A page of one shard.
#[derive(Debug)]
pub struct Page<T> {
    pub(crate) entries: Vec<T>,
    /// Where the next begins; `None`: this was the shard's last.
    pub(crate) next: Option<String>,
    /// Up to where the replica that answered had applied its log.
    pub(crate) token: Option<ConsistencyToken>,
}

impl Reader<'_> {
    fn page<T>(&self, entries: Vec<T>, next: Option<String>, freshness: Option<v1::ReadFreshness>) -> Page<T> {
        let Read { value: entries, freshness } = self.read(entries, freshness);
        Page { entries, next, token: freshness.token }
    }
}

/// What can be listed.
pub trait Listed: Sized + Send {
    /// What narrows the listing.
    type Filter: Clone + Send + Sync;

    /// One page of a shard, after `cursor`: at most so many entries; 0: as many as a node gives.
    #[doc(hidden)]
    fn page(
        reader: Reader<'_>,
        shard: u32,
        cursor: String,
        limit: u32,
        filter: &Self::Filter,
    ) -> impl Future<Output = Result<Page<Self>, Error>> + Send;
}

/// A listing under way. It is not a snapshot: what changes meanwhile may be seen or not, each entry as it was when its
/// page was read.
#[derive(Debug)]
pub struct Listing<'a, T: Listed> {
    reader: Reader<'a>,
    filter: T::Filter,
    shards: VecDeque<u32>,
    cursor: String,
    limit: u32,
    read: VecDeque<T>,
    /// One a shard that was read, the last of each.
    tokens: Vec<ConsistencyToken>,
}

impl<'a, T: Listed> Listing<'a, T> {
    pub(crate) fn new(reader: Reader<'a>, filter: T::Filter) -> Self {
        let shards = reader.core.with_routes(|routes| routes.shards.iter().copied().collect());
        Self { reader, filter, shards, cursor: String::new(), limit: 0, read: VecDeque::new(), tokens: Vec::new() }
    }

    /// Only of that shard.
    #[must_use]
    pub fn of_shard(mut self, shard: u32) -> Self {
        self.shards.retain(|each| *each == shard);
        self
    }

    /// From where another listing of the same stood ([`Listing::position`]). A shard that is none of the cluster's: nothing.
    #[must_use]
    pub fn from_position(mut self, shard: u32, cursor: impl Into<String>) -> Self {
        while self.shards.front().is_some_and(|first| *first != shard) {
            self.shards.pop_front();
        }
        self.cursor = cursor.into();
        self
    }

    /// In pages of at most so many entries from now on, of stock so many SKUs; 0: of 1 000, which is the most.
    pub const fn set_page(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Where the next page begins: a shard, and how far it was listed; `None`: there is none. Of use where everything that was read was
    /// taken.
    #[must_use]
    pub fn position(&self) -> Option<(u32, &str)> {
        self.shards.front().map(|shard| (*shard, self.cursor.as_str()))
    }

    /// Up to where the shards' logs were applied where they were read so far: one a shard.
    #[must_use]
    pub fn tokens(&self) -> &[ConsistencyToken] {
        &self.tokens
    }

    /// The next entry; `None` after the last. After an error the same page may be asked for again.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        while self.read.is_empty() {
            match self.fetch().await? {
                Some(page) => self.read.extend(page),
                None => return Ok(None),
            }
        }
        Ok(self.read.pop_front())
    }

    /// The rest of the page that is being read, or the next one, at most 1 000 entries; `None` after the last. A page may
    /// be empty.
    pub async fn next_page(&mut self) -> Result<Option<Vec<T>>, Error> {
        if self.read.is_empty() { self.fetch().await } else { Ok(Some(self.read.drain(..).collect())) }
    }

    /// All that remains, at most `limit` entries.
    pub async fn take(mut self, limit: usize) -> Result<Vec<T>, Error> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(page) = self.next_page().await?
        {
            taken.extend(page);
        }
        taken.truncate(limit);
        Ok(taken)
    }

    async fn fetch(&mut self) -> Result<Option<Vec<T>>, Error> {
        let Some(&shard) = self.shards.front() else { return Ok(None) };
        let Page { entries, next, token } =
            T::page(self.reader, shard, self.cursor.clone(), self.limit, &self.filter).await?;
        if let Some(token) = token {
            match self.tokens.iter_mut().find(|seen| seen.shard == token.shard) {
                Some(seen) => seen.applied_index = seen.applied_index.max(token.applied_index),
                None => self.tokens.push(token),
            }
        }
        match next {
            Some(cursor) if cursor != self.cursor => self.cursor = cursor,
            _ => {
                self.shards.pop_front();
                self.cursor.clear();
            }
        }
        Ok(Some(entries))
    }
}

impl Listed for v1::Item {
    type Filter = ();

    async fn page(reader: Reader<'_>, shard: u32, after_sku: String, limit: u32, (): &()) -> Result<Page<Self>, Error> {
        let (target, consistency) = reader.how(shard);
        let question = v1::ListItemsRequest { shard, after_sku, limit, consistency };
        let ask = |channel, request| async move { inventory(channel).list_items(request).await };
        let reply: v1::ListItemsResponse = reader.core.call(reader.core.reading(target), question, ask).await?;
        let next = reply.items.last().filter(|_| reply.more).map(|item| item.sku.clone());
        Ok(reader.page(reply.items, next, reply.freshness))
    }
}

impl Listed for v1::StockLevel {
    type Filter = ();

    async fn page(reader: Reader<'_>, shard: u32, after_sku: String, limit: u32, (): &()) -> Result<Page<Self>, Error> {
        let (target, consistency) = reader.how(shard);
        let question = v1::ListStockRequest { shard, after_sku, limit, consistency };
        let ask = |channel, request| async move { inventory(channel).list_stock(request).await };
        let reply: v1::ListStockResponse = reader.core.call(reader.core.reading(target), question, ask).await?;
        let next = reply.more.then_some(reply.last_sku);
        Ok(reader.page(reply.levels, next, reply.freshness))
    }
}

impl Listed for v1::Lot {
    type Filter = Lots;

    async fn page(
        reader: Reader<'_>,
        shard: u32,
        page_token: String,
        limit: u32,
        filter: &Lots,
    ) -> Result<Page<Self>, Error> {
        let (target, consistency) = reader.how(shard);
        let removal_until_ms = filter.removal_until_ms.unwrap_or(0);
        let question = v1::ListLotsRequest { shard, removal_until_ms, page_token, limit, consistency };
        let ask = |channel, request| async move { inventory(channel).list_lots(request).await };
        let reply: v1::ListLotsResponse = reader.core.call(reader.core.reading(target), question, ask).await?;
        let next = Some(reply.next_page_token).filter(|token| !token.is_empty());
        Ok(reader.page(reply.lots, next, reply.freshness))
    }
}

impl Listed for v1::Reservation {
    type Filter = Reservations;

    async fn page(
        reader: Reader<'_>,
        shard: u32,
        page_token: String,
        limit: u32,
        filter: &Reservations,
    ) -> Result<Page<Self>, Error> {
        let (target, consistency) = reader.how(shard);
        let question = v1::ListReservationsRequest {
            shard,
            state: filter.state.unwrap_or_default().into(),
            page_token,
            limit,
            consistency,
            order_ref: filter.order_ref.clone().unwrap_or_default(),
        };
        let ask = |channel, request| async move { inventory(channel).list_reservations(request).await };
        let reply: v1::ListReservationsResponse = reader.core.call(reader.core.reading(target), question, ask).await?;
        let next = Some(reply.next_page_token).filter(|token| !token.is_empty());
        Ok(reader.page(reply.reservations, next, reply.freshness))
    }
}

/// Lists records of one kind that [`Documents`] chooses among: their request, their response, its field and the call have one form.
macro_rules! listed_by_documents {
    ($record:ty, $request:ident, $response:ident, $entries:ident, $call:ident) => {
        impl Listed for $record {
            type Filter = Documents;

            async fn page(
                reader: Reader<'_>,
                shard: u32,
                page_token: String,
                limit: u32,
                filter: &Documents,
            ) -> Result<Page<Self>, Error> {
                let (target, consistency) = reader.how(shard);
                let question = v1::$request {
                    shard,
                    open_only: filter.open_only,
                    sku: filter.sku.clone().unwrap_or_default(),
                    location_id: filter.location_id.clone().unwrap_or_default(),
                    page_token,
                    limit,
                    consistency,
                };
                let ask = |channel, request| async move { inventory(channel).$call(request).await };
                let reply: v1::$response = reader.core.call(reader.core.reading(target), question, ask).await?;
                let next = Some(reply.next_page_token).filter(|token| !token.is_empty());
                Ok(reader.page(reply.$entries, next, reply.freshness))
            }
        }
    };
}

listed_by_documents!(v1::Transfer, ListTransfersRequest, ListTransfersResponse, transfers, list_transfers);
listed_by_documents!(v1::Receipt, ListReceiptsRequest, ListReceiptsResponse, receipts, list_receipts);
listed_by_documents!(v1::Count, ListCountsRequest, ListCountsResponse, counts, list_counts);

impl Listed for v1::Order {
    type Filter = Orders;

    async fn page(
        reader: Reader<'_>,
        shard: u32,
        page_token: String,
        limit: u32,
        filter: &Orders,
    ) -> Result<Page<Self>, Error> {
        let (target, consistency) = reader.how(shard);
        let Orders { open_only, stuck_only } = *filter;
        let question = v1::ListOrdersRequest { shard, open_only, stuck_only, page_token, limit, consistency };
        let ask = |channel, request| async move { inventory(channel).list_orders(request).await };
        let reply: v1::ListOrdersResponse = reader.core.call(reader.core.reading(target), question, ask).await?;
        let next = Some(reply.next_page_token).filter(|token| !token.is_empty());
        Ok(reader.page(reply.orders, next, reply.freshness))
    }
}

impl Listed for v1::Backorder {
    type Filter = Backorders;

    async fn page(
        reader: Reader<'_>,
        shard: u32,
        page_token: String,
        limit: u32,
        filter: &Backorders,
    ) -> Result<Page<Self>, Error> {
        let (target, consistency) = reader.how(shard);
        let question = v1::ListBackordersRequest {
            shard,
            sku: filter.sku.clone().unwrap_or_default(),
            location_id: filter.location_id.clone().unwrap_or_default(),
            page_token,
            limit,
            consistency,
        };
        let ask = |channel, request| async move { inventory(channel).list_backorders(request).await };
        let reply: v1::ListBackordersResponse = reader.core.call(reader.core.reading(target), question, ask).await?;
        let next = Some(reply.next_page_token).filter(|token| !token.is_empty());
        Ok(reader.page(reply.backorders, next, reply.freshness))
    }
}

impl Listed for v1::Allocation {
    type Filter = Allocations;

    async fn page(
        reader: Reader<'_>,
        shard: u32,
        page_token: String,
        limit: u32,
        filter: &Allocations,
    ) -> Result<Page<Self>, Error> {
        let (target, consistency) = reader.how(shard);
        let question = v1::ListAllocationsRequest {
            shard,
            campaign_id: filter.campaign_id.clone().unwrap_or_default(),
            sku: filter.sku.clone().unwrap_or_default(),
            consistency,
            limit,
            page_token,
        };
        let ask = |channel, request| async move { inventory(channel).list_allocations(request).await };
        let reply: v1::ListAllocationsResponse = reader.core.call(reader.core.reading(target), question, ask).await?;
        let next = Some(reply.next_page_token).filter(|token| !token.is_empty());
        Ok(reader.page(reply.allocations, next, reply.freshness))
    }
}
