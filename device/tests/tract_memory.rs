//! Memory that the ONNX loader takes for hostile files: every allocation of the process is counted.

mod small_onnx;

use ldae_device::tract::{TractEncoder, TractError};
use prost::Message;
use small_onnx::model;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, with the bytes in use and their peak.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is the system allocator's.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(used, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

/// The result of loading, and the most bytes in use beyond those before.
fn load(file: &[u8]) -> (Result<TractEncoder, TractError>, usize) {
    let before = USED.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = TractEncoder::new(file);
    (result, PEAK.load(Ordering::Relaxed) - before)
}

/// A file with this graph.
fn with_graph(graph: &[u8]) -> Vec<u8> {
    [vec![0x08, 9], field(7, graph)].concat()
}

/// A field of bytes: its number, and what is in it.
fn field(number: u8, inside: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(inside.len(), &mut bytes).unwrap();
    bytes.extend(inside);
    bytes
}

/// One test, because all threads of the process are counted.
#[test]
fn hostile_files_take_little_memory() {
    // A million nodes, tensors, attributes of one node: refused before decoding.
    let (first, fifth) = ([0x0A, 0x00].repeat(1 << 20), [0x2A, 0x00].repeat(1 << 20));
    for graph in [&first, &fifth, &field(1, &fifth)] {
        let (result, peak) = load(&with_graph(graph));
        assert_eq!(result.unwrap_err(), TractError::Records);
        assert!(peak < 4096, "{peak}");
    }
    // As many as pass, of the largest structure: decoded, then refused.
    let attributes = field(1, &[0x2A, 0x00].repeat((1 << 16) - 4));
    let (result, peak) = load(&with_graph(&attributes));
    println!("65 532 empty attributes: {:.1} MB", peak as f64 / 1e6);
    assert!(matches!(result, Err(TractError::Metadata { .. })));
    assert!(peak < 200 << 20, "{peak}");
    // Dimensions of gigabytes: no more than the small file itself takes to decode.
    for dims in [vec![1i64 << 31], vec![1 << 31, 1 << 31], vec![1 << 62, 4], vec![16, 1 << 29]] {
        let mut model = model();
        model.graph.as_mut().unwrap().initializer.iter_mut().for_each(|t| t.dims = dims.clone());
        let (result, peak) = load(&model.encode_to_vec());
        assert!(matches!(result, Err(TractError::Tensor { .. })), "{result:?}");
        assert!(peak < 256 << 10, "{peak}");
    }
    let (result, peak) = load(&model().encode_to_vec());
    result.unwrap();
    println!("the small file itself, tract included: {:.1} MB", peak as f64 / 1e6);
    assert!(peak < 64 << 20, "{peak}");
}
