//! Admission tokens: what a customer shows who was let into a campaign's waiting room.
//!
//! A token says the campaign, the customer, the ticket and until when, and carries a MAC under a key of the cluster: any node can make
//! and check one, and nobody else can. That it is spent once, and not after its time, is decided by the log of the shard of the
//! reserve: a command that is asked again after its token's end gets the answer it had.

use std::fmt::Write;

use holdfast_inventory::{CampaignId, CustomerHash, LogTime, Pass};
use holdfast_proto::v1::{CommandError, ErrorReason};

const VERSION: u8 = 1;
const MAC: usize = 32;
/// Version, ticket, end, customer: what stands before the campaign's name.
const FIXED: usize = 1 + 4 + 8 + 16;
/// Longest token, in characters.
const MAX_TEXT: usize = 2 * (FIXED + 64 + MAC);

/// What the key of tokens is made for; it is no key of anything else.
const PURPOSE: &str = "holdfast 2026 admission token of a campaign";

/// A token of a ticket, as URL-safe text.
pub(crate) fn mint(customer_key: &[u8; 32], campaign: &CampaignId, customer: CustomerHash, pass: Pass) -> String {
    let mut said = Vec::with_capacity(FIXED + 64 + MAC);
    said.push(VERSION);
    said.extend_from_slice(&pass.ticket.to_be_bytes());
    said.extend_from_slice(&pass.expires_at.0.to_be_bytes());
    said.extend_from_slice(&customer.0.to_be_bytes());
    said.extend_from_slice(campaign.as_str().as_bytes());
    let mac = mac(customer_key, &said);
    said.extend_from_slice(mac.as_bytes());
    said.iter().fold(String::with_capacity(2 * said.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every character");
        text
    })
}

/// What a token says, if it was made by this cluster for that customer and campaign.
///
/// # Errors
///
/// `ADMISSION_TOKEN_INVALID` with why: malformed, forged, other_campaign, other_customer.
pub(crate) fn check(
    customer_key: &[u8; 32],
    text: &str,
    campaign: &CampaignId,
    customer: Option<CustomerHash>,
) -> Result<Pass, CommandError> {
    let bytes = from_hex(text).filter(|bytes| bytes.len() > FIXED + MAC && bytes[0] == VERSION);
    let Some(bytes) = bytes else { return Err(invalid("malformed", "is none: send it as it was given")) };
    let (said, given) = bytes.split_at(bytes.len() - MAC);
    // Compares in constant time.
    if blake3::Hash::from_slice(given).ok() != Some(mac(customer_key, said)) {
        return Err(invalid("forged", "was not made by this cluster"));
    }
    let (of_customer, of_campaign) = said[FIXED - 16..].split_at(16);
    if of_campaign != campaign.as_str().as_bytes() {
        return Err(invalid("other_campaign", "is of another campaign"));
    }
    if customer.map(|customer| customer.0.to_be_bytes()).as_ref().map(<[u8; 16]>::as_slice) != Some(of_customer) {
        return Err(invalid("other_customer", "is of another customer: name the one who was let in"));
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    Ok(Pass { ticket: number(&said[1..5]) as u32, expires_at: LogTime(number(&said[5..13])) })
}

fn mac(customer_key: &[u8; 32], said: &[u8]) -> blake3::Hash {
    blake3::keyed_hash(&blake3::derive_key(PURPOSE, customer_key), said)
}

fn invalid(why: &str, problem: &str) -> CommandError {
    let message = format!("the admission token {problem}");
    CommandError::of(ErrorReason::AdmissionTokenInvalid, message).at("admission_token").with("why", why)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > MAX_TEXT || !text.is_ascii() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes().chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn pass() -> Pass {
        Pass { ticket: 41, expires_at: LogTime(1_790_000_000_123) }
    }

    fn token() -> String {
        mint(&KEY, &"drop".parse().unwrap(), CustomerHash(9), pass())
    }

    fn why(key: &[u8; 32], text: &str, campaign: &str, customer: Option<u128>) -> String {
        let refused = check(key, text, &campaign.parse().unwrap(), customer.map(CustomerHash)).unwrap_err();
        assert_eq!((refused.reason(), refused.field.as_str()), (ErrorReason::AdmissionTokenInvalid, "admission_token"));
        refused.metadata["why"].clone()
    }

    #[test]
    fn a_token_says_what_it_was_made_for() {
        let said = check(&KEY, &token(), &"drop".parse().unwrap(), Some(CustomerHash(9)));
        assert_eq!(said, Ok(pass()));
    }

    #[test]
    fn a_token_of_another_cluster_campaign_or_customer_is_refused_by_name() {
        assert_eq!(why(&[8; 32], &token(), "drop", Some(9)), "forged");
        assert_eq!(why(&KEY, &token(), "other", Some(9)), "other_campaign");
        assert_eq!(why(&KEY, &token(), "drop", Some(8)), "other_customer");
        assert_eq!(why(&KEY, &token(), "drop", None), "other_customer");
    }

    #[test]
    fn a_changed_character_anywhere_is_refused() {
        let token = token();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let why = why(&KEY, &String::from_utf8(changed).unwrap(), "drop", Some(9));
            assert!(["forged", "malformed"].contains(&why.as_str()), "character {at}: {why}");
            assert!(check(&KEY, &token[..at], &"drop".parse().unwrap(), Some(CustomerHash(9))).is_err());
        }
        for text in ["", "zz", "é", &"0".repeat(999), &"ab".repeat(4_000)] {
            assert_eq!(why(&KEY, text, "drop", Some(9)), "malformed");
        }
    }
}
