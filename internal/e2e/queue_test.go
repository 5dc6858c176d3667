package e2e

import (
	"strings"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestQueueAnswers: every call answers as uWSGI's, which is asked the same; a negative number of
// messages, on which uWSGI crashes, is an error.
func TestQueueAnswers(t *testing.T) {
	t.Parallel()
	answersAlike(t, []string{"--queue", "4", "--queue-blocksize", "4096"},
		"uwsgi.queue_push(b'early')\nuwsgi.queue_size", []string{
			"uwsgi.queue_pull()", "uwsgi.queue_pull()", "uwsgi.queue_pull_slot()", "uwsgi.queue_last()", "uwsgi.queue_push(b'1')",
			"uwsgi.queue_push('2')", "uwsgi.queue_push(b'3')", "uwsgi.queue_slot()", "uwsgi.queue_pull_slot()", "uwsgi.queue_last()",
			"uwsgi.queue_last(2)", "uwsgi.queue_last(4)", "uwsgi.queue_last(5)", "uwsgi.queue_last(0)", "uwsgi.queue_last(True)",
			"uwsgi.queue_get(0)", "uwsgi.queue_get(1)", "uwsgi.queue_get(4)", "uwsgi.queue_get(-1)", "uwsgi.queue_pop()",
			"uwsgi.queue_pop()", "uwsgi.queue_pull()", "uwsgi.queue_pull()", "uwsgi.queue_pop()", "uwsgi.queue_slot()",
			"uwsgi.queue_pull_slot()", "uwsgi.queue_set(0, b'x')", "uwsgi.queue_set(4, b'x')", "uwsgi.queue_set(-1, b'x')",
			"uwsgi.queue_get(0)", "uwsgi.queue_set(0, b'')", "uwsgi.queue_get(0)", "uwsgi.queue_push(b'')", "uwsgi.queue_push()",
			"uwsgi.queue_push(None)", "uwsgi.queue_push(5)", "uwsgi.queue_push(b'a', b'b')", "uwsgi.queue_push(bytearray(b'z'))",
			"uwsgi.queue_push(memoryview(b'z'))", "uwsgi.queue_get()", "uwsgi.queue_get('x')", "uwsgi.queue_last('x')",
			"uwsgi.queue_set(1)", "uwsgi.queue_set(1, 5)", "uwsgi.queue_set(b'1', b'2')", "uwsgi.queue_get(2**70)",
			"uwsgi.queue_last(1, 2)", "uwsgi.queue_pop(1)", "uwsgi.queue_slot(1)", "uwsgi.queue_push(b'a\\0b')", "uwsgi.queue_pop()",
			"uwsgi.queue_push(b'x' * 4080)", "len(uwsgi.queue_pop())", "uwsgi.queue_push(b'x' * 4081)", "uwsgi.queue_push(b'x' * 5000)",
			"[uwsgi.queue_push(b'%d' % n) for n in range(5)]", "uwsgi.queue_slot()", "uwsgi.queue_last(4)", "uwsgi.queue_pull()",
			"uwsgi.queue_pull()", "uwsgi.queue_pull_slot()", "uwsgi.queue_last(4)", "uwsgi.queue_pop()", "uwsgi.queue_last(4)",
			"[uwsgi.queue_pop() for n in range(4)]", "uwsgi.queue_slot()", "uwsgi.queue_push(b'6')", "uwsgi.queue_pull()",
			"uwsgi.queue_slot()", "uwsgi.queue_pull_slot()",
		}, nil)
	_, addr := startEvaluator(t, "", "--queue", "4")
	if got := value(t, addr, "uwsgi.queue_last(-1)"); !strings.HasPrefix(got, "ValueError") {
		t.Error(got)
	}
}

// TestQueueAbsent: without the option there is nothing of it, as in uWSGI.
func TestQueueAbsent(t *testing.T) {
	t.Parallel()
	answersAlike(t, nil, "", []string{"hasattr(uwsgi, 'queue_push')", "hasattr(uwsgi, 'queue_size')"}, nil)
}

// TestQueueLasts: what is in the queue is there after a kill in the middle of work, after a reload,
// and, with a file, after the next start.
func TestQueueLasts(t *testing.T) {
	t.Parallel()
	store := t.TempDir() + "/store"
	s, addr := startEvaluator(t, "", "-p", "2", "--queue", "100", "--queue-store", store)
	s.Allow(`^DAMN ! worker \d`)
	evaluate(t, addr, "uwsgi.queue_push(b'first')", "uwsgi.queue_push(b'second')")
	killAtWork(t, s, addr, "(uwsgi.queue_push(b'w' * 5000), uwsgi.queue_pop())")
	s.Reload()
	if got := value(t, addr, "uwsgi.queue_pull()"); got != "b'first'" {
		t.Errorf("after a kill and a reload: %s", got)
	}
	s.Stop()
	again, addr := startEvaluator(t, "", "--queue", "100", "--queue-store", store)
	if got := value(t, addr, "uwsgi.queue_pull()"); got != "b'second'" {
		t.Errorf("after a restart: %s", got)
	}
	again.Stop()
	last := harness.New(t)
	last.Tolerate(`store .* is of another size`)
	last.Write("app.py", evaluator)
	addr = harness.Addr(t)
	last.Start("--http-socket", addr, "--module", "app", "--master", "--queue", "50", "--queue-store", store)
	if got := value(t, addr, "uwsgi.queue_push(b'new'), uwsgi.queue_pull()"); got != "(True, b'new')" {
		t.Errorf("with another size: %s", got)
	}
}
