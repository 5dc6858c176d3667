package e2e

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"uwsgi/internal/e2e/harness"
)

// TestSQLAlchemy: 200 requests at a time through SQLAlchemy's asyncio, which switches greenlets on
// the loop's thread, are answered right, and leave no task and no connection of the pool behind;
// nor do those that are ended in the middle, since they are over their time.
func TestSQLAlchemy(t *testing.T) {
	t.Parallel()
	for _, loop := range []string{"uvloop", "asyncio"} {
		t.Run(loop, func(t *testing.T) {
			s, addr := harness.New(t), harness.Addr(t)
			s.Copy("testdata/asgi/sqlalchemy_app.py", "app.py")
			s.Start("--http", addr, "--module", "app", "--virtualenv", harness.Async(t),
				"--asgi-loop", loop, "--master")
			site := harness.HTTP(t, addr)
			quiet := site.Get("/left").Body
			for i := range 50 {
				if a := site.Do("POST", fmt.Sprintf("/author/%d", i), nil); a.Body != strconv.Itoa(i) {
					t.Fatalf("author %d: %s %s", i, a.Line, a.Body)
				}
			}
			together(t, addr, 200, func(i int) string { return fmt.Sprintf("/author/%d", i%50) }, func(i int) string {
				n := i % 50
				return fmt.Sprintf(`["author %d",["book 0 of %[1]d","book 1 of %[1]d","book 2 of %[1]d"],3]`, n)
			})
			harness.Eventually(t, "no task is left", func() bool { return site.Get("/left").Body == quiet })
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		s, addr := harness.New(t), harness.Addr(t)
		s.Copy("testdata/asgi/sqlalchemy_app.py", "app.py")
		s.Tolerate("HARAKIRI|CancelledError")
		s.Start("--http", addr, "--module", "app", "--virtualenv", harness.Async(t), "--harakiri", "2", "--master")
		site := harness.HTTP(t, addr)
		quiet := site.Get("/left").Body
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() {
				if a := harness.HTTP(t, addr).Get("/slow"); a.Status != 504 {
					t.Errorf("over its time: %s %s", a.Line, a.Body)
				}
			})
		}
		waiting.Wait()
		harness.Eventually(t, "no task is left", func() bool { return site.Get("/left").Body == quiet })
	})
}
