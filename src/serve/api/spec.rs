//! The description of the API, as it is in the documentation.

use crate::serve::App;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, LazyLock};

const WRITTEN: &str = include_str!("../../../docs/openapi.yaml");

/// As JSON: what tools read. A test holds that it can be read, so that this is never empty.
static AS_JSON: LazyLock<Bytes> = LazyLock::new(|| {
    let read: Result<serde_json::Value, _> = serde_saphyr::from_str(WRITTEN);
    Bytes::from(read.map(|value| value.to_string()).unwrap_or_default())
});

/// `GET /api/v1/openapi.json`.
pub(in crate::serve) async fn openapi(State(_): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], AS_JSON.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_read() {
        let value: serde_json::Value = serde_json::from_slice(&AS_JSON).expect("the file is YAML of plain values");
        assert_eq!(value["openapi"], "3.1.0");
    }
}
