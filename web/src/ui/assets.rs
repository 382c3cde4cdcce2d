//! The files of the dashboard, as they stand in `web/assets/ui/`.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A file and its media type.
struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

macro_rules! assets {
    ($($name:literal: $kind:expr),+ $(,)?) => {
        const ASSETS: &[Asset] =
            &[$(Asset { name: $name, kind: $kind, content: include_str!(concat!("../../assets/ui/", $name)) }),+];
    };
}

/// Scripts, styles and answers of this address alone; nothing in the markup runs.
pub(crate) const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const HTML: &str = "text/html; charset=utf-8";
pub(crate) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(crate) const STYLE: &str = "text/css; charset=utf-8";

assets! {
    "index.html": HTML,
    "icon.svg": "image/svg+xml",
    "style.css": STYLE,
    "main.js": SCRIPT,
    "api.js": SCRIPT,
    "dom.js": SCRIPT,
    "events.js": SCRIPT,
    "export.js": SCRIPT,
    "plot.js": SCRIPT,
    "renew.js": SCRIPT,
    "pages/overview.js": SCRIPT,
    "pages/stock.js": SCRIPT,
    "pages/reservations.js": SCRIPT,
    "pages/sales.js": SCRIPT,
    "pages/problems.js": SCRIPT,
    "pages/cluster.js": SCRIPT,
    "vendor/uplot.js": SCRIPT,
    "vendor/uplot.css": STYLE,
    "vendor/uplot.LICENSE": "text/plain; charset=utf-8",
}

/// The page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    serve("index.html", &headers)
}

/// What browsers ask for unasked.
pub(super) async fn icon(headers: HeaderMap) -> Response {
    serve("icon.svg", &headers)
}

/// A file of the page.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    serve(&name, &headers)
}

fn serve(name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return (StatusCode::NOT_FOUND, "the dashboard has no such file: it begins at /ui/\n").into_response();
    };
    // A later version of the binary has other files under the same names: they are asked for each time, and sent when they changed.
    let tag = format!("\"{}\"", &blake3::hash(asset.content.as_bytes()).to_hex()[..16]);
    let mut response = if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.kind)], asset.content).into_response()
    };
    let told = response.headers_mut();
    told.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    told.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    told.extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_file_of_the_page_names_is_there() {
        let names: Vec<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        for asset in ASSETS.iter().filter(|asset| !asset.name.starts_with("vendor/")) {
            for part in asset.content.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"))
            {
                let folder = asset.name.rsplit_once('/').map_or("", |(folder, _)| folder);
                let from_root = part.strip_prefix("/ui/").map(str::to_owned);
                let beside = part.strip_prefix("./").map(|rest| join(folder, rest));
                let above = part.strip_prefix("../").map(|rest| join(parent(folder), rest));
                let Some(named) = from_root.or(beside).or(above) else { continue };
                assert!(names.contains(&named.as_str()), "{} names {part}", asset.name);
            }
        }
    }

    fn parent(folder: &str) -> &str {
        folder.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    fn join(folder: &str, file: &str) -> String {
        if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") }
    }

    #[test]
    fn nothing_is_fetched_from_outside_nor_run_from_within_the_markup() {
        let page = ASSETS.iter().find(|asset| asset.name == "index.html").unwrap().content;
        assert!(
            !page.contains("http://")
                && !page.contains("https://")
                && !page.contains("<style")
                && !page.contains(" on")
        );
        for asset in ASSETS.iter().filter(|asset| asset.kind == SCRIPT && !asset.name.starts_with("vendor/")) {
            assert!(!asset.content.contains("innerHTML") && !asset.content.contains("https://"), "{}", asset.name);
        }
    }

    #[test]
    fn a_file_that_has_not_changed_is_not_sent_again() {
        let first = serve("style.css", &HeaderMap::new());
        let tag = first.headers()[header::ETAG].clone();
        let again = serve("style.css", &[(header::IF_NONE_MATCH, tag)].into_iter().collect());
        assert_eq!((first.status(), again.status()), (StatusCode::OK, StatusCode::NOT_MODIFIED));
        assert_eq!(serve("../Cargo.toml", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }
}
