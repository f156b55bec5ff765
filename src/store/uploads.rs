//! Uploads that an S3 store began although its answer was lost: nobody knows their ids, so they have to be looked for.
//!
//! Two runs that make the same object at the same time may end each other's uploads this way, if one of them lost an
//! answer: that one's object is then missing, its run says so, and another run makes it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};

use super::client::Connector;
use super::fault::Fault;

/// Finds the unfinished uploads of an object.
pub struct Uploads {
    s3: Arc<AmazonS3>,
    client: HttpClient,
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploads").finish_non_exhaustive()
    }
}

/// How long the signature of a request holds.
const VALID: Duration = Duration::from_secs(300);

impl Uploads {
    /// Of this store.
    ///
    /// # Errors
    /// When there can be no client.
    pub fn new(s3: Arc<AmazonS3>, connector: &Connector) -> object_store::Result<Self> {
        // Where the request goes was decided with the store's own endpoint.
        let client = connector.connect(&connector.options(true))?;
        Ok(Self { s3, client })
    }

    /// Ids of the unfinished uploads of an object.
    ///
    /// # Errors
    /// Those of the request, as [`Fault`].
    pub async fn of(&self, path: &Path) -> object_store::Result<Vec<String>> {
        let query = SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", path.as_ref())]);
        let url = self.s3.signed_url_opts(http::Method::GET, &Path::default(), VALID, &query).await?;
        let request = http::Request::get(url.as_str()).body(HttpRequestBody::empty());
        let request =
            request.map_err(|_| failed(Fault::Senseless("the store's endpoint makes no valid URL".into())))?;
        let answer = self.client.execute(request).await;
        let answer = answer.map_err(|e| failed(fault_of(&e)))?.into_body().bytes().await;
        let answer = answer.map_err(|e| failed(fault_of(&e)))?;
        ids(&String::from_utf8_lossy(&answer), path.as_ref()).map_err(|e| failed(Fault::Senseless(e.to_string())))
    }
}

fn fault_of(error: &object_store::client::HttpError) -> Fault {
    let inside = std::error::Error::source(error).and_then(|e| e.downcast_ref::<Fault>());
    inside.cloned().unwrap_or_else(|| Fault::of_http(error))
}

fn failed(fault: Fault) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: Box::new(fault) }
}

/// Ids of the uploads of exactly this key.
///
/// # Reference
/// Amazon S3 API, `ListMultipartUploads`.
pub(super) fn ids(document: &str, key: &str) -> Result<Vec<String>, roxmltree::Error> {
    let document = roxmltree::Document::parse(document)?;
    let text = |upload: roxmltree::Node, name: &str| {
        upload.children().find(|n| n.tag_name().name() == name).and_then(|n| n.text().map(str::to_owned))
    };
    let uploads = document.root_element().children().filter(|n| n.tag_name().name() == "Upload");
    Ok(uploads.filter(|u| text(*u, "Key").as_deref() == Some(key)).filter_map(|u| text(u, "UploadId")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_of_other_keys_are_left_alone() {
        let document = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket>
            <Upload><Key>a/x.tif</Key><UploadId>1</UploadId></Upload>
            <Upload><Key>a/x.tif.old</Key><UploadId>2</UploadId></Upload>
            <Upload><UploadId>3</UploadId><Key>a/x.tif</Key></Upload></ListMultipartUploadsResult>"#;
        assert_eq!(ids(document, "a/x.tif").unwrap(), ["1", "3"]);
        assert_eq!(ids("<R/>", "a").unwrap(), Vec::<String>::new());
        assert!(ids("no XML", "a").is_err());
    }
}
