//! The digests in signatures of requests to S3.
//!
//! A signature covers the SHA-256 of what is sent. The client would make it when it builds the request, one at a time and
//! again with every try; parts have theirs made beforehand, two at a time where several wait, and the client is given that.

use std::sync::Arc;

use bytes::Bytes;
use object_store::client::{CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm};
use object_store::{Error, Result};
use ring::digest::{Context, Digest, SHA256};
use ring::hmac;

/// Bytes whose SHA-256 is known.
#[derive(Debug, Clone)]
pub struct Known(Arc<(Vec<Bytes>, [u8; 32])>);

tokio::task_local! {
    static KNOWN: Known;
}

impl Known {
    /// These chunks, one after another, of that digest.
    pub fn new(chunks: Vec<Bytes>, sha256: [u8; 32]) -> Self {
        Self(Arc::new((chunks, sha256)))
    }

    /// Awaits a request that sends them.
    pub async fn during<F: Future>(&self, request: F) -> F::Output {
        KNOWN.scope(self.clone(), request).await
    }
}

/// What the client makes digests and signatures with.
#[derive(Debug)]
pub struct Signatures;

impl CryptoProvider for Signatures {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        only_sha256(&algorithm)?;
        let known = KNOWN.try_with(Known::clone).ok();
        Ok(Box::new(Sum { known, seen: 0, context: Context::new(&SHA256), made: None }))
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        only_sha256(&algorithm)?;
        let context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
        Ok(Box::new(Tag { context, made: None }))
    }

    fn sign(&self, algorithm: SigningAlgorithm, _pem: &[u8]) -> Result<Box<dyn Signer>> {
        Err(unsupported(&algorithm))
    }
}

fn only_sha256(algorithm: &DigestAlgorithm) -> Result<()> {
    if *algorithm == DigestAlgorithm::Sha256 { Ok(()) } else { Err(unsupported(algorithm)) }
}

fn unsupported(what: &impl std::fmt::Debug) -> Error {
    Error::NotSupported { source: format!("{what:?} is in no signature of S3").into() }
}

struct Sum {
    /// What may be coming, until something else comes.
    known: Option<Known>,
    /// Chunks of it that came.
    seen: usize,
    context: Context,
    made: Option<Digest>,
}

impl DigestContext for Sum {
    fn update(&mut self, data: &[u8]) {
        if let Some(known) = &self.known {
            let (chunks, _) = &*known.0;
            // The very same memory, which nobody can change.
            if chunks.get(self.seen).is_some_and(|chunk| std::ptr::eq(&**chunk, data)) {
                self.seen += 1;
                return;
            }
            chunks[..self.seen].iter().for_each(|chunk| self.context.update(chunk));
            self.known = None;
        }
        self.context.update(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        if let Some(known) = &self.known {
            let (chunks, sha256) = &*known.0;
            if self.seen == chunks.len() {
                return Ok(sha256);
            }
            chunks[..self.seen].iter().for_each(|chunk| self.context.update(chunk));
        }
        Ok(Digest::as_ref(self.made.insert(self.context.clone().finish())))
    }
}

struct Tag {
    context: hmac::Context,
    made: Option<hmac::Tag>,
}

impl HmacContext for Tag {
    fn update(&mut self, data: &[u8]) {
        self.context.update(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        Ok(hmac::Tag::as_ref(self.made.insert(self.context.clone().sign())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut context = Signatures.digest(DigestAlgorithm::Sha256).unwrap();
        chunks.into_iter().for_each(|chunk| context.update(chunk));
        context.finish().unwrap().to_vec()
    }

    #[test]
    fn only_the_very_same_bytes_have_the_digest_that_is_known() {
        let chunks = [Bytes::from_static(b"first"), Bytes::new(), Bytes::from(b"second".to_vec())];
        let known = Known::new(chunks.to_vec(), [7; 32]);
        let expected = |bytes: &[u8]| ring::digest::digest(&SHA256, bytes).as_ref().to_vec();
        let of = |k: usize| &chunks[k][..];
        assert_eq!(sum([of(0), of(1), of(2)]), expected(b"firstsecond"), "where nothing is known");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(known.during(async {
            assert_eq!(sum([of(0), of(1), of(2)]), [7; 32]);
            assert_eq!(sum([of(0), of(1)]), expected(b"first"), "less");
            assert_eq!(sum([of(0), of(1), of(2), b"!"]), expected(b"firstsecond!"), "more");
            assert_eq!(sum([of(0), &[], b"second"]), expected(b"firstsecond"), "equal bytes elsewhere");
            assert_eq!(sum([]), expected(b""));
        }));
        assert_eq!(sum([of(0)]), expected(b"first"), "and not afterwards");
    }

    /// The second case of RFC 4231, 4.3.
    #[test]
    fn the_tag_is_that_of_the_standard() {
        let mut context = Signatures.hmac(DigestAlgorithm::Sha256, b"Jefe").unwrap();
        context.update(b"what do ya want ");
        context.update(b"for nothing?");
        let tag: String = context.finish().unwrap().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(tag, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
