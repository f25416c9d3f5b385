//! Reviews as a real API server sends them: a webhook that is registered like ours, and keeps what it is sent.
//!
//! ```text
//!  dry-run change ──► API server ──┬─► server under test
//!                                  └─► recorder ──► path, query and body, byte by byte
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::extract::State;
use axum::{Json, Router};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::Uri;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::apps::Apps;
use crate::clock::eventually;
use crate::control_plane::ControlPlane;
use crate::fixtures::{locked, webhook};

/// Before ours, which is `canary-webhook`: they are called by name, and it sees what ours is sent.
const NAME: &str = "bench-recorder";
const OURS: &str = "canary-webhook";
const ENTRY: &str = "deployments.";
/// A review holds the object twice, each with the fields of several managers.
const LEAST: usize = 12 * 1024;
const LIMIT: Duration = Duration::from_secs(20);
const AT_A_TIME: usize = 4;

/// A review as it came.
#[derive(Clone, Debug)]
pub struct Review {
    /// With the query, which says how long the API server waits.
    pub path: String,
    pub body: Bytes,
}

type Kept = Arc<Mutex<Vec<Review>>>;

/// Records both reviews of one change of each of those applications; each has 12 KiB at least.
pub async fn record(plane: &ControlPlane, apps: &Apps, numbers: &[usize]) -> Result<Vec<Review>> {
    let kept = Kept::default();
    let router = Router::new().fallback(keep).with_state(kept.clone());
    let url = webhook::serve(plane, NAME, router)?;
    let reviews = record_at(plane, apps, numbers, (&url, &kept)).await?;
    for review in &reviews {
        let (size, body) = (review.body.len(), &review.body);
        ensure!(
            size >= LEAST && contains(body, b"managedFields"),
            "a review of {size} bytes is no measure: {}",
            String::from_utf8_lossy(body)
        );
    }
    Ok(reviews)
}

async fn record_at(
    plane: &ControlPlane,
    apps: &Apps,
    numbers: &[usize],
    (url, kept): (&str, &Kept),
) -> Result<Vec<Review>> {
    let client = plane.client().await?;
    let kinds = [
        ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
    ];
    let registrations = kinds.map(|kind| Api::<DynamicObject>::all_with(client.clone(), &kind));
    for api in &registrations {
        let ours = api.get(OURS).await?;
        let authority = plane.authority().pem();
        let like_it = like(&ours, url, &authority).context("no entry for Deployments")?;
        api.create(&PostParams::default(), &like_it).await?;
    }
    // The API server learns of it by its own watch.
    let both = |reviews: &[Review]| {
        ["/mutate", "/validate"].map(|path| reviews.iter().any(|it| it.path.starts_with(path)))
    };
    eventually("a recorded review of each kind", LIMIT, async || {
        apps.try_image(numbers[0], "app:recorded").await?;
        Ok((both(&locked(kept)) == [true, true]).then_some(()))
    })
    .await?;
    locked(kept).clear();
    futures::stream::iter(numbers)
        .map(|&number| apps.try_image(number, "app:recorded"))
        .buffer_unordered(AT_A_TIME)
        .try_collect::<Vec<_>>()
        .await?;
    for api in &registrations {
        api.delete(NAME, &DeleteParams::default()).await?;
    }
    let reviews = std::mem::take(&mut *locked(kept));
    ensure!(
        reviews.len() == 2 * numbers.len(),
        "{} reviews of {} changes",
        reviews.len(),
        numbers.len()
    );
    Ok(reviews)
}

/// A registration with one entry: ours for Deployments, called at `url`.
fn like(ours: &DynamicObject, url: &str, authority: &str) -> Option<DynamicObject> {
    let entries = ours.data["webhooks"].as_array()?;
    let name = |entry: &&Value| {
        entry["name"]
            .as_str()
            .is_some_and(|it| it.starts_with(ENTRY))
    };
    let mut entry = entries.iter().find(name)?.clone();
    let called = entry["clientConfig"]["url"].as_str()?;
    let path = called.rsplit('/').next()?.to_owned();
    let authority = k8s_openapi::ByteString(authority.as_bytes().to_vec());
    entry["name"] = json!(format!("{path}.recorder.example.com"));
    // Ours changes the object after it; once is enough.
    if entry.get("reinvocationPolicy").is_some() {
        entry["reinvocationPolicy"] = json!("Never");
    }
    entry["clientConfig"] = json!({ "url": format!("{url}/{path}"), "caBundle": authority });
    let mut copy = DynamicObject {
        types: ours.types.clone(),
        metadata: kube::core::ObjectMeta::default(),
        data: json!({ "webhooks": [entry] }),
    };
    copy.metadata.name = Some(NAME.to_owned());
    Some(copy)
}

/// Keeps a review, and allows it as it is.
async fn keep(State(kept): State<Kept>, uri: Uri, body: Bytes) -> Json<Value> {
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = uri.path_and_query().map(ToString::to_string);
    locked(&kept).push(Review {
        path: path.unwrap_or_default(),
        body,
    });
    Json(json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": { "uid": review["request"]["uid"], "allowed": true },
    }))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
