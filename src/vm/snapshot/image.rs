//! The image in which QEMU saves a state, and from which it loads one: `snapshot-save` and `snapshot-load` have it in an
//! internal snapshot of a qcow2 image. This makes such images around a stream, and finds the stream in them.

/// Bytes of a cluster.
const CLUSTER: usize = 1 << CLUSTER_BITS;
const CLUSTER_BITS: u32 = 16;
/// The bytes of the disk in the image, which nobody uses.
const DISK: u64 = 1 << 20;
/// The name of the snapshot.
pub(super) const NAME: &str = "s";

/// Where the header says where the snapshots are; their number stands before it.
const SNAPSHOTS_AT: usize = 64;
/// Where the length of a state stands in the entry of its snapshot.
const EXTRA_AT: usize = 40;
/// The bits of an entry of a table that say where something is.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// The clusters of the image, in their order. The stream follows.
enum Place {
    Header,
    RefcountTable,
    Refcounts,
    /// Of the disk: empty.
    L1,
    Snapshots,
    /// Of the snapshot.
    SnapshotL1,
    L2,
    Stream,
}

impl Place {
    fn offset(self) -> usize {
        self as usize * CLUSTER
    }
}

/// An image without a snapshot.
pub(super) fn empty() -> Vec<u8> {
    let clusters = Place::Snapshots as usize;
    let mut image = vec![0; clusters * CLUSTER];
    put(&mut image, Place::Header, &header(0));
    put_refcounts(&mut image, clusters);
    image
}

/// The state in the only snapshot of `image`; None without one.
pub(super) fn state_in(image: &[u8]) -> Option<Vec<u8>> {
    if word(image, SNAPSHOTS_AT - 4)? != 1 {
        return None;
    }
    let entry = long(image, SNAPSHOTS_AT)? as usize;
    let l1 = long(image, entry)? as usize;
    let size = long(image, entry + EXTRA_AT)? as usize;
    // A state lies behind the disk: in the second entry, as the first one covers 512 MiB.
    let l2 = (long(image, l1 + 8)? & OFFSET) as usize;
    let mut state = Vec::with_capacity(size);
    for cluster in 0..size.div_ceil(CLUSTER) {
        let at = (long(image, l2 + 8 * cluster)? & OFFSET) as usize;
        let len = CLUSTER.min(size - state.len());
        state.extend(image.get(at..at + len)?);
    }
    Some(state)
}

fn word(image: &[u8], at: usize) -> Option<u32> {
    let bytes = image.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

fn long(image: &[u8], at: usize) -> Option<u64> {
    let bytes = image.get(at..)?.first_chunk()?;
    Some(u64::from_be_bytes(*bytes))
}

/// An image whose snapshot [`NAME`] has the state in `stream`.
pub(super) fn with_state(stream: &[u8]) -> Vec<u8> {
    let of_stream = stream.len().div_ceil(CLUSTER);
    let clusters = Place::Stream as usize + of_stream;
    let mut image = vec![0; clusters * CLUSTER];
    put(&mut image, Place::Header, &header(1));
    put_refcounts(&mut image, clusters);
    put(&mut image, Place::Snapshots, &snapshot(stream.len() as u64));
    let l1 = [0, Place::L2.offset() as u64].map(u64::to_be_bytes);
    put(&mut image, Place::SnapshotL1, &l1.concat());
    let places = (0..of_stream).map(|n| (Place::Stream.offset() + n * CLUSTER) as u64);
    let l2: Vec<u8> = places.flat_map(u64::to_be_bytes).collect();
    put(&mut image, Place::L2, &l2);
    put(&mut image, Place::Stream, stream);
    image
}

fn put(image: &mut [u8], place: Place, bytes: &[u8]) {
    let at = place.offset();
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// All clusters are used once.
fn put_refcounts(image: &mut [u8], clusters: usize) {
    let refcounts = (Place::Refcounts.offset() as u64).to_be_bytes();
    put(image, Place::RefcountTable, &refcounts);
    let used: Vec<u8> = (0..clusters).flat_map(|_| 1_u16.to_be_bytes()).collect();
    put(image, Place::Refcounts, &used);
}

fn header(snapshots: u32) -> Vec<u8> {
    let mut header = b"QFI\xfb".to_vec();
    let word = |header: &mut Vec<u8>, word: u32| header.extend(word.to_be_bytes());
    let long = |header: &mut Vec<u8>, long: u64| header.extend(long.to_be_bytes());
    word(&mut header, 3); // version
    long(&mut header, 0); // no backing file
    word(&mut header, 0);
    word(&mut header, CLUSTER_BITS);
    long(&mut header, DISK);
    word(&mut header, 0); // not encrypted
    word(&mut header, 2); // entries of the L1 table
    long(&mut header, Place::L1.offset() as u64);
    long(&mut header, Place::RefcountTable.offset() as u64);
    word(&mut header, 1); // clusters of the refcount table
    word(&mut header, snapshots);
    long(
        &mut header,
        Place::Snapshots.offset() as u64 * u64::from(snapshots),
    );
    long(&mut header, 0); // incompatible features
    long(&mut header, 0); // compatible features
    long(&mut header, 0); // features that may be cleared
    word(&mut header, 4); // refcounts have 16 bits
    word(&mut header, 104); // bytes of this header
    header
}

/// The entry of the snapshot.
fn snapshot(state: u64) -> Vec<u8> {
    let mut entry = (Place::SnapshotL1.offset() as u64).to_be_bytes().to_vec();
    entry.extend(2_u32.to_be_bytes()); // entries of its L1 table
    entry.extend(1_u16.to_be_bytes()); // bytes of its ID
    entry.extend((NAME.len() as u16).to_be_bytes());
    entry.extend([0; 16]); // the date, and the guest's clock
    entry.extend((state as u32).to_be_bytes());
    entry.extend(24_u32.to_be_bytes()); // bytes of what follows
    for long in [state, DISK, u64::MAX] {
        entry.extend(long.to_be_bytes());
    }
    entry.extend(b"1");
    entry.extend(NAME.bytes());
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_has_the_stream_in_whole_clusters() {
        let stream = vec![7; CLUSTER + 1];
        let image = with_state(&stream);
        assert_eq!(image.len(), (7 + 2) * CLUSTER);
        assert_eq!(image[7 * CLUSTER..][..stream.len()], stream);
        assert_eq!(header(1).len(), 104);
    }

    #[test]
    fn state_is_found_in_an_image_that_has_one() {
        let stream: Vec<u8> = (0..CLUSTER * 2 + 9).map(|n| n as u8).collect();
        let image = with_state(&stream);
        assert!(state_in(&image).unwrap() == stream);
        assert_eq!(state_in(&empty()), None);
        assert_eq!(state_in(&image[..image.len() - 2 * CLUSTER]), None);
        assert_eq!(state_in(b""), None);
    }
}
