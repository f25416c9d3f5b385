//! `MetricTemplate` and `AlertProvider`.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canary::is_default;
use crate::status::CanaryCondition;

/// A query, and who answers it.
#[derive(
    CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "flagger.app",
    version = "v1beta1",
    kind = "MetricTemplate",
    plural = "metrictemplates",
    singular = "metrictemplate",
    category = "all",
    namespaced,
    status = "TemplateStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "MetricTemplate is the Schema for the MetricTemplate API.",
    annotation("helm.sh/resource-policy", "keep")
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["provider", "query"]))]
pub struct MetricTemplateSpec {
    /// Who answers the query.
    #[serde(skip_serializing_if = "is_default")]
    pub provider: MetricProvider,
    /// The query; `{{ namespace }}`, `{{ target }}`, `{{ variables.x }}` … are filled in.
    pub query: String,
}

/// Who answers a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["type"]))]
pub struct MetricProvider {
    #[serde(rename = "type")]
    #[schemars(schema_with = "crate::schema::metric_provider")]
    pub type_: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Sent along with each query (prometheus).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The Secret with the credentials, in the template's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::secret")]
    pub secret_ref: Option<SecretReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Do not verify the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// A Secret in the namespace of the object that names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretReference {
    pub name: String,
}

/// Status of a `MetricTemplate` or `AlertProvider`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateStatus {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<CanaryCondition>,
}

/// A place that alerts are sent to.
#[derive(
    CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "flagger.app",
    version = "v1beta1",
    kind = "AlertProvider",
    plural = "alertproviders",
    singular = "alertprovider",
    category = "all",
    namespaced,
    status = "TemplateStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "AlertProvider is the Schema for the AlertProvider API.",
    annotation("helm.sh/resource-policy", "keep")
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("oneOf" = [
    { "required": ["type", "address"] },
    { "required": ["type", "secretRef"] },
]))]
pub struct AlertProviderSpec {
    #[serde(rename = "type")]
    #[schemars(schema_with = "crate::schema::alert_provider")]
    pub type_: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The Secret with `address` and, where needed, `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::secret")]
    pub secret_ref: Option<SecretReference>,
}
