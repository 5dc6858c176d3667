//go:build lab

package lab

import (
	"fmt"
	"strings"
	"testing"
)

// explained: what can happen to an application happens, and journalctl -x explains each, once, in
// English and in Chinese.
func explained(t *testing.T, m *Machine) {
	a := m.App(t, "eventful", "socket = /run/uwsgi/%n.sock", "processes = 1", "harakiri = 1", "max-requests = 3",
		"min-worker-lifetime = 0")
	a.DropIn(t, "[Service]\nRestart=no\n")
	// so that there is such a locale; its texts are not asked for
	m.Sh(t, "cp -r /usr/lib/locale/C.utf8 /usr/lib/locale/zh_CN.utf8")
	defer m.Run("rm", "-rf", "/usr/lib/locale/zh_CN.utf8")
	a.Start(t)
	for range 4 {
		a.Ask(t, "/")
	}
	if got := a.Ask(t, "/sleep?9"); got.Status != 504 {
		t.Errorf("a request past its time is answered %d", got.Status)
	}
	m.Sh(t, fmt.Sprintf("kill -SEGV %s", a.Ask(t, "/pid").Body))
	a.Ask(t, "/pid")
	m.Sh(t, "systemctl reload uwsgi@eventful")
	a.Code(t, "import not_there_at_all\n")
	m.Fails(t, "systemctl reload uwsgi@eventful")
	m.Sh(t, "systemctl stop uwsgi@eventful")
	m.Fails(t, "systemctl start uwsgi@eventful")
	subjects := []struct {
		english, chinese string
		once             bool
	}{
		{"Application eventful is ready", "应用 eventful 已就绪", true},
		{"A worker of application eventful was replaced as configured", "应用 eventful 的一个工作进程已按配置替换", false},
		{"A request of application eventful took too long (harakiri)", "应用 eventful 的一个请求超时（harakiri）", true},
		{"A worker of application eventful died", "应用 eventful 的一个工作进程异常退出", false},
		{"Application eventful was reloaded", "应用 eventful 已重载", true},
		{"Reload of application eventful failed; the old code goes on serving", "应用 eventful 重载失败，旧代码继续服务", true},
		{"Application eventful was stopped", "应用 eventful 已停止", false},
		{"Application eventful could not be started", "应用 eventful 启动失败", true},
	}
	var english string
	m.Eventually(t, "explanation of the failed start in journalctl -x", func() bool {
		english = m.Sh(t, "journalctl -x -u uwsgi@eventful --no-pager")
		return strings.Contains(english, subjects[len(subjects)-1].english)
	})
	chinese := m.Sh(t, "LC_ALL=zh_CN.UTF-8 journalctl -x -u uwsgi@eventful --no-pager")
	for _, s := range subjects {
		if n := strings.Count(english, "Subject: "+s.english+"\n"); n == 0 || s.once && n > 1 {
			t.Errorf("%q is said %d times", s.english, n)
		}
		if !strings.Contains(chinese, "Subject: "+s.chinese+"\n") {
			t.Errorf("not said in Chinese: %s", s.chinese)
		}
	}
	if t.Failed() {
		t.Log(english)
	}
	// The stacks that the explanation of a harakiri speaks of.
	if got := m.Sh(t, "journalctl -u uwsgi@eventful UWSGI_WORKER=1 -o cat"); !strings.Contains(got,
		"time.sleep(float(environ") && !strings.Contains(got, "in application") {
		t.Errorf("no stack of the stuck request:\n%s", got)
	}
}

// logged: what the application writes by logging is its worker's, has its own priority, and a chain
// of exceptions is one entry.
func logged(t *testing.T, m *Machine) {
	a := m.App(t, "logs")
	a.Start(t)
	a.Ask(t, "/log")
	byText := map[string]map[string]any{}
	m.Eventually(t, "exception in the journal", func() bool {
		for _, e := range m.entries(t, "-u uwsgi@logs") {
			text, _ := e["MESSAGE"].(string)
			first, _, _ := strings.Cut(text, "\n")
			byText[first] = e
		}
		return byText["ERROR:root:an exception by logging"] != nil
	})
	for first, priority := range map[string]string{"INFO:root:an info by logging": "6",
		"WARNING:root:a warning by logging": "4", "ERROR:root:an exception by logging": "3"} {
		e := byText[first]
		if n := e["UWSGI_WORKER"]; e["PRIORITY"] != priority || n != "1" && n != "2" {
			t.Errorf("%s: %v", first, e)
		}
	}
	text, _ := byText["ERROR:root:an exception by logging"]["MESSAGE"].(string)
	if !strings.Contains(text, "KeyError: 'key'") || !strings.HasSuffix(text, "ValueError: the second of two") {
		t.Errorf("the exception is not one entry:\n%s", text)
	}
	if got := m.Sh(t, "journalctl -u uwsgi@logs -p err -o cat"); strings.Count(got, "Traceback") != 2 ||
		strings.Contains(got, "a warning") {
		t.Errorf("journalctl -p err:\n%s", got)
	}
}
