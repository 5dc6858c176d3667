// WebSockets of WSGI applications.
#ifndef UWSGI_WEBSOCKET_H
#define UWSGI_WEBSOCKET_H

#include <Python.h>

#include "bridge.h"

// What the uwsgi module's functions give, or NULL with an exception set: OSError where the client
// is gone or the request is not a handshake.
PyObject *uw_websocket_handshake(uw_exchange *x, const char *key, Py_ssize_t key_len, const char *protocol, Py_ssize_t protocol_len);
PyObject *uw_websocket_receive(uw_exchange *x, int wait);
PyObject *uw_websocket_send(uw_exchange *x, int text, PyObject *data);
// uw_websocket_disconnect sends a close frame, and ends the connection.
void uw_websocket_disconnect(uw_exchange *x);

// uw_offer_socket puts the connection into the environ, as gunicorn and werkzeug do, by the
// function that uw_set_offer was given. -1: an exception is set.
void uw_set_offer(PyObject *f);
int uw_offer_socket(uw_exchange *x, PyObject *environ);

// uw_take_socket gives a descriptor of the connection of that request, an int, if it runs still.
PyObject *uw_take_socket(int exchange, unsigned long long serial);

#endif
