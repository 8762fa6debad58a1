//! What the current thread has on the heap, to see whether something grows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that this thread allocated and did not free; other tests run on others.
pub fn live_bytes() -> isize {
    LIVE.get()
}

/// The system's allocator, which counts besides.
pub struct Counting;

fn count(bytes: isize) {
    LIVE.set(LIVE.get() + bytes);
}

// SAFETY: every call goes to the system's allocator as it came; the counter is a plain cell that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above; what this allocator handed out came from the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}
