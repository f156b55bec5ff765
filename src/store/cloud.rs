//! Clients of object stores, made from a URL and the environment.
//!
//! Names of variables are those of the vendors' own tools. What is not set there is looked for where these tools keep it:
//! the shared files of AWS, Google's application default credentials, and the metadata service of the machine.

use std::sync::Arc;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as S3Key};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use url::Url;

use super::client::Connector;
use super::settings::Environment;
use super::signature::Signatures;

/// A client.
pub struct Client {
    /// For whole objects.
    pub objects: Arc<dyn ObjectStore>,
    /// For objects in parts; none where nothing can be written.
    pub uploads: Option<Arc<dyn MultipartStore>>,
    /// The same store, where uploads that nobody knows of can be found and ended.
    pub s3: Option<Arc<AmazonS3>>,
    /// The folder the URL names.
    pub folder: Path,
}

/// The schemes of object stores, and of web servers, which can only be read.
pub const SCHEMES: [&str; 8] = ["s3", "s3a", "gs", "az", "abfs", "abfss", "http", "https"];

/// Variables that name an endpoint.
const ENDPOINTS: [&str; 6] = [
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "AZURE_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
    "GOOGLE_BASE_URL",
];

/// Tries are counted and bounded above the client: see [`super::patience`].
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// The client of a URL with one of [`SCHEMES`].
///
/// # Errors
/// What the client says of settings that make no sense.
pub fn client(url: &Url, environment: &Environment, connector: &Connector) -> object_store::Result<Client> {
    // Another part of the program may have chosen already; one choice is as good as the other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain_http = url.scheme() == "http"
        // Without TLS only where an endpoint without TLS was named, as only a server of one's own is.
        || ENDPOINTS.iter().any(|name| environment.get(name).is_some_and(|v| v.starts_with("http://")));
    let options = connector.options(plain_http);
    let bare = bare(url);
    let folder = Path::from_url_path(url.path().trim_matches('/')).unwrap_or_default();
    match url.scheme() {
        "s3" | "s3a" => {
            let shared = shared_files(environment);
            let plain_here = |(key, value): &(S3Key, String)| *key == S3Key::Endpoint && value.starts_with("http://");
            let plain_http = plain_http || shared.iter().any(plain_here);
            // One object at a time is core to the protocol; deleting many in one request is not.
            let mut builder = AmazonS3Builder::new()
                .with_client_options(connector.options(plain_http))
                .with_config(S3Key::DisableBulkDelete, "true");
            for (key, value) in shared {
                builder = builder.with_config(key, value);
            }
            for (name, value) in environment.starting_with("AWS_") {
                if let Ok(key) = name.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value);
                }
            }
            // As GDAL and s5cmd spell it.
            if environment.says_yes("AWS_NO_SIGN_REQUEST") {
                builder = builder.with_skip_signature(true);
            }
            let builder = builder.with_url(bare).with_retry(no_retries()).with_http_connector(connector.clone());
            let builder = builder.with_crypto_provider(Arc::new(Signatures));
            let s3 = Arc::new(builder.build()?);
            Ok(Client { objects: s3.clone(), uploads: Some(s3.clone()), s3: Some(s3), folder })
        }
        "gs" => {
            let mut builder = GoogleCloudStorageBuilder::new().with_client_options(options);
            if let Some(path) = environment.get("SERVICE_ACCOUNT") {
                builder = builder.with_service_account_path(path);
            }
            for (name, value) in environment.starting_with("GOOGLE_") {
                if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            let builder = builder.with_url(bare).with_retry(no_retries()).with_http_connector(connector.clone());
            let store = Arc::new(builder.build()?);
            Ok(Client { objects: store.clone(), uploads: Some(store), s3: None, folder })
        }
        "http" | "https" => {
            // The folder stands in the client's URL, and with it a query that is needed for every request.
            let mut base = url.clone();
            base.set_fragment(None);
            let builder = HttpBuilder::new().with_url(base).with_client_options(options).with_retry(no_retries());
            let store = Arc::new(builder.with_http_connector(connector.clone()).build()?);
            Ok(Client { objects: store, uploads: None, s3: None, folder: Path::default() })
        }
        _ => {
            let mut builder = MicrosoftAzureBuilder::new().with_client_options(options);
            for (name, value) in environment.starting_with("AZURE_") {
                if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            if let Some(endpoint) = environment.get("IDENTITY_ENDPOINT") {
                builder = builder.with_msi_endpoint(endpoint);
            }
            let builder = builder.with_url(bare).with_retry(no_retries()).with_http_connector(connector.clone());
            let store = Arc::new(builder.build()?);
            Ok(Client { objects: store.clone(), uploads: Some(store), s3: None, folder })
        }
    }
}

/// A URL without credentials, query and fragment: what it is called by, and what clients are given. A user name stays
/// where it is no credential, in `abfss://container@account`.
pub fn bare(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail only for URLs that cannot have credentials.
    if !url.scheme().starts_with("abfs") {
        let _ = url.set_username("");
    }
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Keys, region and endpoint from the shared files of AWS, for the profile that is asked for.
///
/// # Reference
/// AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
fn shared_files(environment: &Environment) -> Vec<(S3Key, String)> {
    let profile = environment.get("AWS_PROFILE").unwrap_or("default");
    let read = |variable: &str, file: &str, section: &str| {
        let text = environment.file(variable, file).and_then(|path| std::fs::read_to_string(path).ok());
        text.map(|text| ini_section(&text, section)).unwrap_or_default()
    };
    let in_config = if profile == "default" { profile.to_owned() } else { format!("profile {profile}") };
    let mut settings = read("AWS_CONFIG_FILE", ".aws/config", &in_config);
    settings.extend(read("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", profile));
    // Keys of the environment come first, and are never mixed with those of a file.
    let has_keys = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"].iter().any(|n| environment.get(n).is_some());
    settings
        .into_iter()
        .filter_map(|(name, value)| {
            let key = match name.as_str() {
                "aws_access_key_id" if !has_keys => S3Key::AccessKeyId,
                "aws_secret_access_key" if !has_keys => S3Key::SecretAccessKey,
                "aws_session_token" if !has_keys => S3Key::Token,
                "region" => S3Key::Region,
                "endpoint_url" => S3Key::Endpoint,
                _ => return None,
            };
            Some((key, value))
        })
        .collect()
}

/// `name = value` lines of one `[section]`.
fn ini_section(text: &str, section: &str) -> Vec<(String, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = name.trim() == section;
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((name, value)) = line.split_once('=')
        {
            found.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_do_not_leave_the_url() {
        for (url, expected) in [
            ("s3://key:secret@bucket/x?token=1#f", "s3://bucket/x"),
            ("https://u:p@host:8080/a/b.tif?X-Amz-Signature=1", "https://host:8080/a/b.tif"),
            (
                "abfss://container@account.dfs.core.windows.net/x?sig=1",
                "abfss://container@account.dfs.core.windows.net/x",
            ),
        ] {
            assert_eq!(bare(&Url::parse(url).unwrap()).as_str(), expected);
        }
    }

    #[test]
    fn keys_come_from_the_shared_files_unless_the_environment_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, config) = (dir.path().join("credentials"), dir.path().join("config"));
        std::fs::write(
            &keys,
            "[default]\naws_access_key_id=A\n[eo]\n# x=y\nAWS_ACCESS_KEY_ID = B\naws_secret_access_key = s=\n",
        )
        .unwrap();
        std::fs::write(&config, "[default]\nregion = r0\n[profile eo]\nregion = r1\nendpoint_url = http://h:1\n")
            .unwrap();
        let files = [
            ("AWS_SHARED_CREDENTIALS_FILE", keys.to_str().unwrap()),
            ("AWS_CONFIG_FILE", config.to_str().unwrap()),
            ("AWS_PROFILE", "eo"),
        ];
        let found = shared_files(&Environment::new(files));
        let text = |key, value: &str| (key, value.to_owned());
        let expected = [
            text(S3Key::Region, "r1"),
            text(S3Key::Endpoint, "http://h:1"),
            text(S3Key::AccessKeyId, "B"),
            text(S3Key::SecretAccessKey, "s="),
        ];
        assert_eq!(found, expected);
        let with_keys = Environment::new(files.into_iter().chain([("AWS_ACCESS_KEY_ID", "C")]));
        assert_eq!(shared_files(&with_keys), expected[..2]);
        assert_eq!(shared_files(&Environment::default()), []);
    }
}
