// CPython 3.11 and later keep the frames of a Python stack in blocks of 16 KiB, which they get from
// the system and return to it. Each greenlet needs one, which costs 10 µs and more. Here those of
// greenlets that have ended are kept for the next ones.
#include <Python.h>
#include <stdatomic.h>

#include "greenlet.h"

// Exported by every CPython 3.4+, not in the limited API.
typedef struct {
	void *ctx;
	void *(*alloc)(void *ctx, size_t size);
	void (*free)(void *ctx, void *ptr, size_t size);
} arenas;
extern void PyObject_GetArenaAllocator(arenas *allocator);
extern void PyObject_SetArenaAllocator(arenas *allocator);

enum { CHUNK = 16 << 10, CHUNKS = 512 }; // 8 MiB at the most

static arenas chunks_before;
static void *chunks[CHUNKS];
static int chunks_kept;

// The GIL is held, except when a thread frees its last block. Whoever comes while another is in
// here does without the pool.
static atomic_flag chunks_busy = ATOMIC_FLAG_INIT;

static void *chunks_alloc(void *ctx, size_t size)
{
	void *p = NULL;
	if (size == CHUNK && !atomic_flag_test_and_set_explicit(&chunks_busy, memory_order_acquire)) {
		if (chunks_kept > 0)
			p = chunks[--chunks_kept];
		atomic_flag_clear_explicit(&chunks_busy, memory_order_release);
	}
	return p ? p : chunks_before.alloc(chunks_before.ctx, size);
}

static void chunks_free(void *ctx, void *p, size_t size)
{
	if (size == CHUNK && !atomic_flag_test_and_set_explicit(&chunks_busy, memory_order_acquire)) {
		int kept = chunks_kept < CHUNKS;
		if (kept)
			chunks[chunks_kept++] = p;
		atomic_flag_clear_explicit(&chunks_busy, memory_order_release);
		if (kept)
			return;
	}
	chunks_before.free(chunks_before.ctx, p, size);
}

void chunks_keep(void)
{
	PyObject_GetArenaAllocator(&chunks_before);
	arenas ours = {NULL, chunks_alloc, chunks_free};
	PyObject_SetArenaAllocator(&ours);
}
