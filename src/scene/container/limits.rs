//! What an archive may ask for. Archives come from anywhere: each number bounds memory, disk or time before it is spent.

/// Most members. A scene has some ten files, a hyperspectral one a hundred.
pub const MEMBERS: u64 = 10_000;

/// Most objects below a folder in object storage; a folder of the machine may have as many entries.
pub const OBJECTS: usize = 100_000;

/// Longest path of a member and longest name in it, bytes; the longer one is what file systems allow.
pub const PATH: usize = 1024;
pub const NAME: usize = 255;

/// Most folders in each other. Deliveries have three.
pub const DEPTH: usize = 16;

/// Most bytes that the members of an archive have together once unpacked. The longest strips have some tens of GiB.
pub const UNPACKED: u64 = 256 << 30;

/// Most bytes that one packed byte may become, for a member and for a whole archive. DEFLATE ends at 1032, which is what a
/// bomb has; images with wide empty borders reach some tens.
pub const RATIO: u64 = 250;

/// What may be unpacked whatever the ratio, bytes: small empty images are no danger.
pub const RATIO_FREE: u64 = 64 << 20;

/// Most bytes that so many packed ones may become.
pub fn unpacked(packed: u64) -> u64 {
    packed.saturating_mul(RATIO).clamp(RATIO_FREE, UNPACKED)
}

/// Largest member that is taken for metadata and read when the archive is met, bytes. They have some hundred KiB.
pub const SMALL: u64 = 4 << 20;

/// Most bytes of metadata and image headers of one archive that are kept until its scenes are done.
pub const KEPT: u64 = 256 << 20;

/// Most bytes from the front, and from the end, of an image that are searched for its directories. One with a strip for
/// each of a million rows has 16 MiB of offsets.
pub const HEADER: u64 = 32 << 20;

/// Most bytes that the directory of a ZIP file may have, and what precedes one member of a TAR file (long names, extended
/// headers): both are held in memory.
pub const ZIP_DIRECTORY: u64 = 64 << 20;
pub const TAR_HEADERS: u64 = 1 << 20;

/// Most bytes behind the end mark of a TAR file: it is filled up to a whole record, 10 KiB unless asked for otherwise.
pub const TAR_FILL: u64 = 64 << 20;
