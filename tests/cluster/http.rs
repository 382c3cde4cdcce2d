//! The least of an HTTP/1.1 client: one request a connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Said {
    /// A header's value; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The body, which is JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A server that is asked.
#[derive(Clone, Debug)]
pub struct Http {
    pub address: String,
}

impl Http {
    /// Every entry of a list, page by page.
    pub async fn every(&self, path: &str) -> Vec<serde_json::Value> {
        let (mut found, mut next) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{next}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            found.extend(page.json()["items"].as_array().expect("items").iter().cloned());
            match page.json()["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return found,
            }
        }
    }

    /// The rows of a table, as far as its links go on, without the names of the columns.
    pub async fn rows_of(&self, path: &str) -> Vec<Vec<String>> {
        let (mut rows, mut next) = (Vec::new(), path.to_owned());
        loop {
            let page = self.get(&next).await;
            assert_eq!(
                (page.status, page.header("content-type")),
                (200, "text/csv; charset=utf-8; header=present"),
                "{page:?}"
            );
            assert_eq!(page.header("x-content-type-options"), "nosniff");
            let mut table = csv::Reader::from_reader(page.body.as_slice());
            rows.extend(table.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect::<Vec<_>>()));
            match page.header("link").strip_prefix('<').and_then(|link| link.split_once(">; rel=\"next\"")) {
                Some((link, _)) => link.clone_into(&mut next),
                None => return rows,
            }
        }
    }

    /// Asks; a connection that breaks is an error.
    pub async fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Said> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let asking = async {
            let mut connection = TcpStream::connect(&self.address).await?;
            // Whoever refuses a body need not read it to its end.
            let _refused = connection.write_all(request.as_bytes()).await;
            let mut said = Vec::new();
            let _broken = connection.read_to_end(&mut said).await;
            read(&said).ok_or_else(|| std::io::Error::other("the answer is not whole"))
        };
        tokio::time::timeout(PATIENCE, asking).await.map_err(std::io::Error::other)?
    }

    /// Waits until a node's HTTP port serves the cluster.
    pub async fn serves(&self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            if let Ok(said) = self.try_ask("GET", "/v1/cluster", &[], "").await
                && said.status == 200
            {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{} does not serve", self.address);
            super::pause().await;
        }
    }

    /// Asks what must be answered.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Said {
        self.try_ask(method, path, headers, body).await.expect("the node answers")
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Said {
        self.ask("GET", path, &[], "").await
    }

    /// Asks for a change, under a key where there is one.
    pub async fn change(&self, method: &str, path: &str, key: &str, body: &str) -> Said {
        let all = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let headers = if key.is_empty() { &all[..1] } else { &all[..] };
        self.ask(method, path, headers, body).await
    }

    /// A POST under a key.
    pub async fn post(&self, path: &str, key: &str, body: &str) -> Said {
        self.change("POST", path, key, body).await
    }

    /// The same, again with the same key as long as the node says that it may be: what a storefront does while a leader is missing.
    pub async fn post_until_decided(&self, path: &str, key: &str, body: &str) -> Said {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let said = self.post(path, key, body).await;
            if said.status < 500 {
                return said;
            }
            assert_eq!(said.json()["retry"], "same_key", "{said:?}");
            assert!(std::time::Instant::now() < deadline, "it is not decided: {said:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn read(said: &[u8]) -> Option<Said> {
    let end = said.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&said[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let body = said[end + 4..].to_vec();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, length)| length.parse().ok());
    (length.is_none_or(|length: usize| length == body.len())).then_some(Said { status, headers, body })
}
