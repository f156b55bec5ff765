//! What can be wrong with an archive.

use std::io;
use std::path::PathBuf;

use crate::error::{Class, Classify, Error};

/// What is wrong with an archive, or with the place it is unpacked to. An archive that is refused is refused as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// An archive cannot be read.
    #[error("reading the archive `{archive}`")]
    ArchiveRead {
        /// The archive.
        archive: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An archive is cut off or damaged.
    #[error(
        "the archive `{archive}` is cut off or damaged: {problem}; fetch it again and compare size or checksum with the vendor's"
    )]
    ArchiveDamaged {
        /// The archive.
        archive: PathBuf,
        /// What was noticed.
        problem: String,
    },
    /// A member would be written somewhere else, or is no plain file or folder.
    #[error(
        "the archive `{archive}` is refused for its member `{member}`, {problem}; if you trust it, unpack it yourself and name the folder"
    )]
    ArchiveUnsafe {
        /// The archive.
        archive: PathBuf,
        /// The member.
        member: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A member is packed in a way this version does not read.
    #[error(
        "member `{member}` of the archive `{archive}` is {what}, which is not read; unpack it yourself and name the folder"
    )]
    ArchiveUnsupported {
        /// The archive.
        archive: PathBuf,
        /// The member.
        member: String,
        /// How it is packed.
        what: String,
    },
    /// An archive exceeds a finite limit.
    #[error(
        "the archive `{archive}` has {found} {what} at `{member}`, more than the limit of {limit}; check that it is the file \
         that was meant, or unpack it yourself and name the folder"
    )]
    ArchiveLimit {
        /// The archive.
        archive: PathBuf,
        /// The member at which it was noticed.
        member: String,
        /// What was counted.
        what: &'static str,
        /// How much there is, at least.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// What an archive holds does not fit where it is to be unpacked.
    #[error(
        "unpacking the archive `{archive}` takes {needed} bytes and `{folder}` has {free} left; name a folder with more room \
         with `--scratch`"
    )]
    ScratchRoom {
        /// The archive.
        archive: PathBuf,
        /// Where it is unpacked to.
        folder: PathBuf,
        /// Bytes it takes.
        needed: u64,
        /// Bytes that are left.
        free: u64,
    },
    /// The folder that archives are unpacked to cannot be written.
    #[error("writing to `{path}`, where archives are unpacked; name another folder with `--scratch`")]
    ScratchWrite {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Object storage or a web server did not give what was asked for.
    #[error("fetching what a URL names")]
    RemoteRead {
        /// Which object, and why not.
        #[source]
        source: Box<Error>,
    },
    /// Something on a web server is named that would have to be listed.
    #[error("`{url}` cannot be listed, as it is on a web server; name {instead}")]
    RemoteFolder {
        /// The folder.
        url: String,
        /// What to name.
        instead: &'static str,
    },
    /// Nothing is where a URL leads to.
    #[error(
        "there is nothing at `{url}`; check the name: a file by its own, a folder by what its objects' names begin with"
    )]
    RemoteAbsent {
        /// The URL, without credentials.
        url: String,
    },
    /// An object has a name that no file can have, or is too large.
    #[error(
        "`{url}` is refused for its object `{object}`, {problem}; name a folder further down, or copy what you trust"
    )]
    RemoteUnsafe {
        /// The folder.
        url: String,
        /// The object.
        object: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The end was asked for while an archive was read.
    #[error("interrupted while reading the archive `{archive}`")]
    ArchiveInterrupted {
        /// The archive.
        archive: PathBuf,
    },
}

impl Classify for ArchiveError {
    fn class(&self) -> Class {
        match self {
            Self::ArchiveUnsupported { .. } => Class::Unsupported,
            Self::ArchiveLimit { .. } | Self::ScratchRoom { .. } => Class::Limit,
            Self::ScratchWrite { .. } => Class::Storage,
            Self::RemoteRead { source } => source.class(),
            Self::RemoteFolder { .. } => Class::Unsupported,
            Self::ArchiveInterrupted { .. } => Class::Interrupted,
            _ => Class::Input,
        }
    }
}
