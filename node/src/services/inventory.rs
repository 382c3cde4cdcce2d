//! `InventoryService`: commands and reads.

use std::sync::Arc;

use holdfast_inventory::{
    AllocationCursor, BackorderCursor, DocumentCursor, LocationId, LogTime, LotCursor, LotId, OrderRef, Pass,
    ReservationCursor, Sku, Ticket, TicketState, slot_of, slot_of_campaign,
};
use holdfast_proto::v1::command_result::Outcome;
use holdfast_proto::v1::inventory_service_server::InventoryService;
use holdfast_proto::v1::{self, CommandError, ErrorReason};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::decide::{Results, decide};
use super::{session, timeout_of};
use crate::admission;
use crate::core::Core;
use crate::from_proto::{self, freshness, invalid, page_limit, page_token};
use crate::planning::answer_kit;
use crate::to_proto;

/// See the module.
#[derive(Debug)]
pub(super) struct Inventory {
    core: Arc<Core>,
}

impl Inventory {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn deadline<T>(&self, request: &Request<T>) -> Instant {
        self.core.deadline(timeout_of(request))
    }
}

/// The SKU after which a page begins.
fn after(text: &str) -> Result<Option<Sku>, CommandError> {
    if text.is_empty() { Ok(None) } else { from_proto::sku("after_sku", text).map(Some) }
}

#[tonic::async_trait]
impl InventoryService for Inventory {
    async fn execute(&self, request: Request<v1::ExecuteRequest>) -> Result<Response<v1::ExecuteResponse>, Status> {
        let deadline = self.deadline(&request);
        let v1::ExecuteRequest { command, route_epoch } = request.into_inner();
        let hint = "send the command to execute";
        let command = command.ok_or_else(|| invalid("command", "is missing", hint))?;
        let Results { mut results, mut tokens, log_time_ms } =
            decide(&self.core, vec![command], route_epoch, deadline).await?;
        let result = results.pop().ok_or_else(|| Status::internal("no result for the command"))?;
        if let Some(Outcome::Error(error)) = result.outcome {
            return Err(error.into());
        }
        Ok(Response::new(v1::ExecuteResponse { result: Some(result), token: tokens.pop(), log_time_ms }))
    }

    async fn execute_batch(
        &self,
        request: Request<v1::ExecuteBatchRequest>,
    ) -> Result<Response<v1::ExecuteBatchResponse>, Status> {
        let deadline = self.deadline(&request);
        let v1::ExecuteBatchRequest { commands, route_epoch } = request.into_inner();
        let Results { results, tokens, log_time_ms } = decide(&self.core, commands, route_epoch, deadline).await?;
        Ok(Response::new(v1::ExecuteBatchResponse { results, tokens, log_time_ms }))
    }

    type SessionStream = session::Replies;

    async fn session(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Ok(Response::new(session::session(Arc::clone(&self.core), request.into_inner())))
    }

    async fn get_item(&self, request: Request<v1::GetItemRequest>) -> Result<Response<v1::GetItemResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let sku = from_proto::sku("sku", &request.sku)?;
        let shard = self.core.routes()?.shard_of(slot_of(&sku));
        let read = self.core.read(shard, freshness(request.consistency), deadline, |shard| shard.item(&sku)).await?;
        let (item, freshness) = read;
        let item = item.ok_or_else(|| unknown_sku(&sku))?;
        Ok(Response::new(v1::GetItemResponse { item: Some(to_proto::item(item)), freshness: Some(freshness) }))
    }

    async fn list_items(
        &self,
        request: Request<v1::ListItemsRequest>,
    ) -> Result<Response<v1::ListItemsResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let (after, limit) = (after(&request.after_sku)?, page_limit(request.limit)?);
        let page = |shard: &holdfast_inventory::Inventory| shard.items(after.as_ref(), limit + 1);
        let read = self.core.read(request.shard, freshness(request.consistency), deadline, page).await?;
        let (mut items, freshness) = read;
        let more = items.len() > limit;
        items.truncate(limit);
        let items = items.into_iter().map(to_proto::item).collect();
        Ok(Response::new(v1::ListItemsResponse { items, more, freshness: Some(freshness) }))
    }

    async fn get_stock(&self, request: Request<v1::GetStockRequest>) -> Result<Response<v1::GetStockResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let sku = from_proto::sku("sku", &request.sku)?;
        let location = match request.location_id.as_str() {
            "" => None,
            text => Some(from_proto::location_id("location_id", text)?),
        };
        let shard = self.core.routes()?.shard_of(slot_of(&sku));
        let look = |shard: &holdfast_inventory::Inventory| {
            if let Some(unknown) = location.as_ref().filter(|id| shard.location(id).is_none()) {
                return Err(unknown_location(unknown));
            }
            let levels = shard.stock(&sku).ok_or_else(|| unknown_sku(&sku))?;
            let kit = shard.kit(&sku);
            let atp = if kit.is_some() { None } else { shard.atp(&sku, location.as_ref()) };
            Ok((levels, atp.unwrap_or(0), kit.map_or(0, |kit| kit.revision.0)))
        };
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let (levels, atp, kit_revision) = found?;
        let is_asked =
            |level: &&holdfast_inventory::StockLevel| location.as_ref().is_none_or(|id| *id == level.location);
        let levels = levels.iter().filter(is_asked).map(to_proto::stock_level).collect();
        Ok(Response::new(v1::GetStockResponse { levels, atp, freshness: Some(freshness), kit_revision }))
    }

    async fn list_stock(
        &self,
        request: Request<v1::ListStockRequest>,
    ) -> Result<Response<v1::ListStockResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let (after, limit) = (after(&request.after_sku)?, page_limit(request.limit)?);
        let page = |shard: &holdfast_inventory::Inventory| shard.stock_of_items(after.as_ref(), limit + 1);
        let read = self.core.read(request.shard, freshness(request.consistency), deadline, page).await?;
        let (mut skus, freshness) = read;
        let more = skus.len() > limit;
        skus.truncate(limit);
        let last_sku = skus.last().map(|(sku, _)| sku.to_string()).unwrap_or_default();
        let levels = skus.iter().flat_map(|(_, levels)| levels.iter().map(to_proto::stock_level)).collect();
        Ok(Response::new(v1::ListStockResponse { levels, more, last_sku, freshness: Some(freshness) }))
    }

    async fn get_reservation(
        &self,
        request: Request<v1::GetReservationRequest>,
    ) -> Result<Response<v1::GetReservationResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let id = from_proto::reservation_id(request.reservation_id)?;
        let shard = self.core.routes()?.shard_of(id.slot());
        let look = |shard: &holdfast_inventory::Inventory| shard.reservation(id);
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let found = found.ok_or_else(|| {
            let message = format!("there is no reservation {id}, or it ended long ago");
            CommandError::of(ErrorReason::ReservationNotFound, message).at("reservation_id")
        })?;
        let reservation = Some(to_proto::reservation(&found));
        Ok(Response::new(v1::GetReservationResponse { reservation, freshness: Some(freshness) }))
    }

    async fn list_reservations(
        &self,
        request: Request<v1::ListReservationsRequest>,
    ) -> Result<Response<v1::ListReservationsResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let limit = page_limit(request.limit)?;
        let state = from_proto::reservation_state(request.state)?;
        let from = ReservationCursor(page_token(&request.page_token)?);
        let order_ref = match request.order_ref.as_str() {
            "" => None,
            text => Some(OrderRef::new(text).map_err(|error| {
                invalid("order_ref", &format!("is refused: {error}"), "1 to 64 bytes of printable UTF-8")
            })?),
        };
        let page = |shard: &holdfast_inventory::Inventory| match &order_ref {
            Some(order_ref) => shard.reservations_of_order(order_ref, from, state, limit),
            None => shard.reservations(from, state, limit),
        };
        let read = self.core.read(request.shard, freshness(request.consistency), deadline, page).await?;
        let ((reservations, next), freshness) = read;
        Ok(Response::new(v1::ListReservationsResponse {
            reservations: reservations.iter().map(to_proto::reservation).collect(),
            next_page_token: next.map(|cursor| cursor.0.to_string()).unwrap_or_default(),
            freshness: Some(freshness),
        }))
    }

    async fn get_lots(&self, request: Request<v1::GetLotsRequest>) -> Result<Response<v1::GetLotsResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let sku = from_proto::sku("sku", &request.sku)?;
        let lot = match request.lot_id.as_str() {
            "" => None,
            text => Some(from_proto::lot_id(text)?),
        };
        let after = match request.after_lot_id.as_str() {
            "" => None,
            text => Some(from_proto::lot_id(text)?),
        };
        let limit = (request.limit > 0).then(|| page_limit(request.limit)).transpose()?;
        let shard = self.core.routes()?.shard_of(slot_of(&sku));
        let look = |shard: &holdfast_inventory::Inventory| match &lot {
            None => {
                // One more tells whether there are more.
                let most = limit.map_or(usize::MAX, |limit| limit + 1);
                shard.lots_after(&sku, after.as_ref(), most).ok_or_else(|| unknown_sku(&sku))
            }
            Some(lot) => shard.lot(&sku, lot).map(|lot| vec![lot]).ok_or_else(|| unknown_lot(shard, &sku, lot)),
        };
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let mut found = found?;
        let more = limit.is_some_and(|limit| found.len() > limit);
        found.truncate(limit.unwrap_or(usize::MAX));
        let lots = found.iter().map(to_proto::lot).collect();
        Ok(Response::new(v1::GetLotsResponse { lots, freshness: Some(freshness), more }))
    }

    async fn get_limits(
        &self,
        request: Request<v1::GetLimitsRequest>,
    ) -> Result<Response<v1::GetLimitsResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let routes = self.core.routes()?;
        let sku = from_proto::sku("sku", &request.sku)?;
        let customer = from_proto::customer(&request.customer, &routes.words)?;
        let look = |shard: &holdfast_inventory::Inventory| shard.limits_of(&sku, customer);
        let shard = routes.shard_of(slot_of(&sku));
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let found = found.ok_or_else(|| unknown_sku(&sku))?;
        let limits = found.iter().map(|(limit, count)| to_proto::customer_limit(limit, *count)).collect();
        Ok(Response::new(v1::GetLimitsResponse { limits, freshness: Some(freshness) }))
    }

    async fn list_lots(&self, request: Request<v1::ListLotsRequest>) -> Result<Response<v1::ListLotsResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let (from, limit) = (LotCursor(page_token(&request.page_token)?), page_limit(request.limit)?);
        let until = (request.removal_until_ms > 0).then_some(LogTime(request.removal_until_ms));
        let page = |shard: &holdfast_inventory::Inventory| shard.all_lots(from, until, limit);
        let read = self.core.read(request.shard, freshness(request.consistency), deadline, page).await?;
        let ((lots, next), freshness) = read;
        Ok(Response::new(v1::ListLotsResponse {
            lots: lots.iter().map(to_proto::lot).collect(),
            next_page_token: next.map(|cursor| cursor.0.to_string()).unwrap_or_default(),
            freshness: Some(freshness),
        }))
    }

    async fn trace_lot(&self, request: Request<v1::TraceLotRequest>) -> Result<Response<v1::TraceLotResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let (sku, lot) = (from_proto::sku("sku", &request.sku)?, from_proto::lot_id(&request.lot_id)?);
        let (from, limit) = (ReservationCursor(page_token(&request.page_token)?), page_limit(request.limit)?);
        let shard = self.core.routes()?.shard_of(slot_of(&sku));
        let look = |shard: &holdfast_inventory::Inventory| {
            shard.trace_lot(&sku, &lot, from, limit).ok_or_else(|| unknown_lot(shard, &sku, &lot))
        };
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let trace = found?;
        Ok(Response::new(v1::TraceLotResponse {
            reservations: trace.reservations.iter().map(to_proto::reservation).collect(),
            next_page_token: trace.next.map(|cursor| cursor.0.to_string()).unwrap_or_default(),
            freshness: Some(freshness),
        }))
    }

    async fn get_transfer(
        &self,
        request: Request<v1::GetTransferRequest>,
    ) -> Result<Response<v1::GetTransferResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let id = from_proto::transfer_id(request.transfer_id)?;
        let shard = self.core.routes()?.shard_of(id.slot());
        let look = |shard: &holdfast_inventory::Inventory| shard.transfer(id);
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let found = found.ok_or_else(|| {
            let message = format!("there is no transfer {id}, or it ended long ago");
            CommandError::of(ErrorReason::TransferNotFound, message).at("transfer_id")
        })?;
        let transfer = Some(to_proto::transfer(&found));
        Ok(Response::new(v1::GetTransferResponse { transfer, freshness: Some(freshness) }))
    }

    async fn list_transfers(
        &self,
        request: Request<v1::ListTransfersRequest>,
    ) -> Result<Response<v1::ListTransfersResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let (from, limit) = (DocumentCursor(page_token(&request.page_token)?), page_limit(request.limit)?);
        let filter = from_proto::document_filter(request.open_only, &request.sku, &request.location_id)?;
        let page = |shard: &holdfast_inventory::Inventory| shard.transfers(from, &filter, limit);
        let read = self.core.read(request.shard, freshness(request.consistency), deadline, page).await?;
        let ((transfers, next), freshness) = read;
        Ok(Response::new(v1::ListTransfersResponse {
            transfers: transfers.iter().map(to_proto::transfer).collect(),
            next_page_token: next.map(|cursor| cursor.0.to_string()).unwrap_or_default(),
            freshness: Some(freshness),
        }))
    }

    async fn get_receipt(
        &self,
        request: Request<v1::GetReceiptRequest>,
    ) -> Result<Response<v1::GetReceiptResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let id = from_proto::receipt_id(request.receipt_id)?;
        let shard = self.core.routes()?.shard_of(id.slot());
        let look = |shard: &holdfast_inventory::Inventory| shard.receipt(id);
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let found = found.ok_or_else(|| {
            let message = format!("there is no expected receipt {id}, or it was closed long ago");
            CommandError::of(ErrorReason::ReceiptNotFound, message).at("receipt_id")
        })?;
        let receipt = Some(to_proto::receipt(&found));
        Ok(Response::new(v1::GetReceiptResponse { receipt, freshness: Some(freshness) }))
    }

    async fn list_receipts(
        &self,
        request: Request<v1::ListReceiptsRequest>,
    ) -> Result<Response<v1::ListReceiptsResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let (from, limit) = (DocumentCursor(page_token(&request.page_token)?), page_limit(request.limit)?);
        let filter = from_proto::document_filter(request.open_only, &request.sku, &request.location_id)?;
        let page = |shard: &holdfast_inventory::Inventory| shard.receipts(from, &filter, limit);
        let read = self.core.read(request.shard, freshness(request.consistency), deadline, page).await?;
        let ((receipts, next), freshness) = read;
        Ok(Response::new(v1::ListReceiptsResponse {
            receipts: receipts.iter().map(to_proto::receipt).collect(),
            next_page_token: next.map(|cursor| cursor.0.to_string()).unwrap_or_default(),
            freshness: Some(freshness),
        }))
    }

    async fn get_count(&self, request: Request<v1::GetCountRequest>) -> Result<Response<v1::GetCountResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let id = from_proto::count_id(request.count_id)?;
        let shard = self.core.routes()?.shard_of(id.slot());
        let look = |shard: &holdfast_inventory::Inventory| shard.count(id);
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let found = found.ok_or_else(|| {
            let message = format!("there is no count {id}, or it ended long ago");
            CommandError::of(ErrorReason::CountNotFound, message).at("count_id")
        })?;
        let count = Some(to_proto::count(&found));
        Ok(Response::new(v1::GetCountResponse { count, freshness: Some(freshness) }))
    }

    async fn list_counts(
        &self,
        request: Request<v1::ListCountsRequest>,
    ) -> Result<Response<v1::ListCountsResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let (from, limit) = (DocumentCursor(page_token(&request.page_token)?), page_limit(request.limit)?);
        let filter = from_proto::document_filter(request.open_only, &request.sku, &request.location_id)?;
        let page = |shard: &holdfast_inventory::Inventory| shard.stock_counts(from, &filter, limit);
        let read = self.core.read(request.shard, freshness(request.consistency), deadline, page).await?;
        let ((counts, next), freshness) = read;
        Ok(Response::new(v1::ListCountsResponse {
            counts: counts.iter().map(to_proto::count).collect(),
            next_page_token: next.map(|cursor| cursor.0.to_string()).unwrap_or_default(),
            freshness: Some(freshness),
        }))
    }

    async fn get_order(&self, request: Request<v1::GetOrderRequest>) -> Result<Response<v1::GetOrderResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let id = from_proto::reservation_id(request.reservation_id)?;
        let shard = self.core.routes()?.shard_of(id.slot());
        let look = |shard: &holdfast_inventory::Inventory| shard.order(id);
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let found = found.ok_or_else(|| {
            let message = format!("the reservation {id} has no order, or it ended long ago");
            CommandError::of(ErrorReason::OrderNotFound, message).at("reservation_id")
        })?;
        let order = Some(to_proto::order(&found));
        Ok(Response::new(v1::GetOrderResponse { order, freshness: Some(freshness) }))
    }

    async fn list_orders(
        &self,
        request: Request<v1::ListOrdersRequest>,
    ) -> Result<Response<v1::ListOrdersResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let (from, limit) = (ReservationCursor(page_token(&request.page_token)?), page_limit(request.limit)?);
        let filter = from_proto::order_filter(request.open_only, request.stuck_only);
        let page = |shard: &holdfast_inventory::Inventory| shard.orders(from, filter, limit);
        let read = self.core.read(request.shard, freshness(request.consistency), deadline, page).await?;
        let ((orders, next), freshness) = read;
        Ok(Response::new(v1::ListOrdersResponse {
            orders: orders.iter().map(to_proto::order).collect(),
            next_page_token: next.map(|cursor| cursor.0.to_string()).unwrap_or_default(),
            freshness: Some(freshness),
        }))
    }

    async fn list_backorders(
        &self,
        request: Request<v1::ListBackordersRequest>,
    ) -> Result<Response<v1::ListBackordersResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let (from, limit) = (page_token::<BackorderCursor>(&request.page_token)?, page_limit(request.limit)?);
        let filter = from_proto::backorder_filter(&request.sku, &request.location_id)?;
        let page = |shard: &holdfast_inventory::Inventory| shard.backorders(from, &filter, limit);
        let read = self.core.read(request.shard, freshness(request.consistency), deadline, page).await?;
        let ((backorders, next), freshness) = read;
        Ok(Response::new(v1::ListBackordersResponse {
            backorders: backorders.iter().map(to_proto::backorder).collect(),
            next_page_token: next.map(|cursor| cursor.to_string()).unwrap_or_default(),
            freshness: Some(freshness),
        }))
    }

    async fn list_allocations(
        &self,
        request: Request<v1::ListAllocationsRequest>,
    ) -> Result<Response<v1::ListAllocationsResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let campaign = match request.campaign_id.as_str() {
            "" => None,
            text => Some(from_proto::campaign_id("campaign_id", text)?),
        };
        let sku = match request.sku.as_str() {
            "" if campaign.is_none() => {
                return Err(invalid("campaign_id", "is empty, and so is sku", "name a campaign, a SKU or both").into());
            }
            "" => None,
            text => Some(from_proto::sku("sku", text)?),
        };
        let from = match request.page_token.as_str() {
            "" => AllocationCursor::default(),
            text => page_token(text)?,
        };
        let limit = if request.limit == 0 { usize::MAX } else { page_limit(request.limit)? };
        let look = |shard: &holdfast_inventory::Inventory| match (&sku, &campaign) {
            (Some(sku), _) => shard.allocations_of(sku).map(|found| (found, None)).ok_or_else(|| unknown_sku(sku)),
            (None, Some(id)) => {
                let found = shard.some_allocations_of_campaign(id, from, limit);
                found.ok_or_else(|| from_proto::unknown_campaign("campaign_id", id))
            }
            (None, None) => Ok((Vec::new(), None)),
        };
        let shard = match &sku {
            Some(sku) => self.core.routes()?.shard_of(slot_of(sku)),
            None => request.shard,
        };
        // What is left and what was spent are told as they were at one instant.
        let look = |shard: &holdfast_inventory::Inventory| {
            let spent = campaign.as_ref().filter(|_| sku.is_none()).and_then(|id| shard.spent_tickets(id));
            look(shard).map(|found| (found, spent.unwrap_or_default()))
        };
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let ((mut found, next), spent_tickets) = found?;
        found.retain(|of| campaign.as_ref().is_none_or(|id| *id == of.campaign));
        let allocations = found.iter().map(to_proto::allocation).collect();
        let next_page_token = next.map(|cursor| cursor.to_string()).unwrap_or_default();
        Ok(Response::new(v1::ListAllocationsResponse {
            allocations,
            freshness: Some(freshness),
            next_page_token,
            spent_tickets,
        }))
    }

    async fn list_tickets(
        &self,
        request: Request<v1::ListTicketsRequest>,
    ) -> Result<Response<v1::ListTicketsResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let routes = self.core.routes()?;
        let campaign = from_proto::campaign_id("campaign_id", &request.campaign_id)?;
        let customer = from_proto::customer(&request.customer, &routes.words)?;
        let limit = page_limit(request.limit)?;
        let look = |shard: &holdfast_inventory::Inventory| {
            let room = shard.room(&campaign)?;
            let tickets = match customer {
                Some(customer) => shard.ticket_of(&campaign, customer).into_iter().collect(),
                None => shard.tickets(&campaign, request.after, limit + 1)?,
            };
            Some((room, tickets))
        };
        let shard = routes.shard_of(slot_of_campaign(&campaign));
        let (found, freshness) = self.core.read(shard, freshness(request.consistency), deadline, look).await?;
        let (room, mut tickets) = found.ok_or_else(|| from_proto::unknown_campaign("campaign_id", &campaign))?;
        let more = tickets.len() > limit;
        tickets.truncate(limit);
        let show = |of: &Ticket| to_proto::ticket(&campaign, of.number, Some(of.customer), of.state);
        Ok(Response::new(v1::ListTicketsResponse {
            tickets: tickets.iter().map(show).collect(),
            more,
            draw: Some(to_proto::campaign_draw(&campaign, room.commitment, room.seed, room.tickets)),
            waiting: room.waiting,
            admitted: room.admitted,
            spent: room.spent,
            freshness: Some(freshness),
        }))
    }

    async fn get_admission_token(
        &self,
        request: Request<v1::GetAdmissionTokenRequest>,
    ) -> Result<Response<v1::GetAdmissionTokenResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let routes = self.core.routes()?;
        let campaign = from_proto::campaign_id("campaign_id", &request.campaign_id)?;
        let customer = from_proto::customer_of_room(&request.customer, &routes.words)?;
        let look = |shard: &holdfast_inventory::Inventory| {
            let known = shard.campaign(&campaign).map(|_| shard.now());
            (known, shard.ticket_of(&campaign, customer))
        };
        let shard = routes.shard_of(slot_of_campaign(&campaign));
        let (found, _) = self.core.read(shard, freshness(None), deadline, look).await?;
        let (Some(now), ticket) = found else {
            return Err(from_proto::unknown_campaign("campaign_id", &campaign).into());
        };
        let token = match ticket.map(|ticket| (ticket.number, ticket.state)) {
            Some((ticket, TicketState::Admitted { until })) if until > now => {
                let pass = Pass { ticket, expires_at: until };
                admission::mint(&routes.words.customer_key, &campaign, customer, pass)
            }
            _ => String::new(),
        };
        let ticket = ticket.map(|of| to_proto::ticket(&campaign, of.number, Some(of.customer), of.state));
        Ok(Response::new(v1::GetAdmissionTokenResponse { ticket, token }))
    }

    async fn get_kit(&self, request: Request<v1::GetKitRequest>) -> Result<Response<v1::GetKitResponse>, Status> {
        let deadline = self.deadline(&request);
        let request = request.into_inner();
        let sku = from_proto::sku("sku", &request.sku)?;
        let location = match request.location_id.as_str() {
            "" => None,
            text => Some(from_proto::location_id("location_id", text)?),
        };
        let found = answer_kit(&self.core, &sku, location.as_ref(), deadline).await?;
        let at = |(location, available): (LocationId, u64)| v1::KitAvailability {
            location_id: location.as_str().to_owned(),
            available,
        };
        Ok(Response::new(v1::GetKitResponse {
            kit: Some(to_proto::kit(&found.kit)),
            flattened: to_proto::components(&found.flattened),
            availability: found.availability.into_iter().map(at).collect(),
            problem: found.problem,
        }))
    }
}

/// There is no such lot, or not even the item.
fn unknown_lot(shard: &holdfast_inventory::Inventory, sku: &Sku, lot: &LotId) -> CommandError {
    if shard.item(sku).is_none() {
        return unknown_sku(sku);
    }
    CommandError::of(ErrorReason::UnknownLot, format!("there is no lot {lot} of {sku}"))
        .at("lot_id")
        .with("lot_id", lot)
}

fn unknown_location(id: &LocationId) -> CommandError {
    CommandError::of(ErrorReason::UnknownLocation, format!("there is no location {id}"))
        .at("location_id")
        .with("location_id", id)
}

pub(super) fn unknown_sku(sku: &Sku) -> CommandError {
    CommandError::of(ErrorReason::UnknownSku, format!("there is no item {sku}")).at("sku").with("sku", sku)
}
