// The exchange that the calling application code is part of.
#include "asgi.h"
#include "greenlet.h"

// Exported by every CPython 3.7.1+, not in the limited API.
extern PyObject *PyContextVar_New(const char *name, PyObject *fallback);
extern int PyContextVar_Get(PyObject *var, PyObject *fallback, PyObject **value);
extern PyObject *PyContextVar_Set(PyObject *var, PyObject *value);

static PyObject *current_var; // of evented workers, of which one thread serves many exchanges

int uw_enter_init(void) { return (current_var = PyContextVar_New("uwsgi.exchange", NULL)) ? 0 : -1; }

int uw_enter(PyObject *who)
{
	PyObject *token = PyContextVar_Set(current_var, who);
	Py_XDECREF(token);
	return token ? 0 : -1;
}

#ifdef Py_GIL_DISABLED
static PyMutex current_lock; // not used in a forked child: another thread may have held it

#ifdef __SANITIZE_THREAD__ // it does not see what the interpreter's lock does
void __tsan_acquire(void *of);
void __tsan_release(void *of);
#else
#define __tsan_acquire(of) (void)0
#define __tsan_release(of) (void)0
#endif

void uw_hold(void)
{
	if (!uw_forked)
		PyMutex_Lock(&current_lock);
	__tsan_acquire(&current_lock);
}

void uw_let_go(void)
{
	__tsan_release(&current_lock);
	if (!uw_forked)
		PyMutex_Unlock(&current_lock);
}
#endif

uw_exchange *uw_take(void)
{
	unsigned long me = PyThread_get_thread_ident();
	uw_core *c;
	for (int i = 0; (c = uw_core_get(i)); i++)
		if (__atomic_load_n(&c->thread, __ATOMIC_RELAXED) == me && c->current)
			return c->current;
	if (!current_var)
		return NULL;
	PyObject *who = NULL;
	if (PyContextVar_Get(current_var, NULL, &who) < 0)
		PyErr_Clear();
	uw_exchange *x = NULL;
	if (who && (asgi_is_driver(who) || greenlet_is_driver(who))) {
		uw_hold();
		if (!(x = ((uw_driver *)who)->x))
			uw_let_go();
	}
	Py_XDECREF(who); // the context has another reference
	return x;
}

void uw_give(uw_exchange *x)
{
	if (x->driver)
		uw_let_go();
}
