// The functions of the uwsgi module that need the data plane; internal/python/uwsgi.py gives them
// to the application.
#ifndef UWSGI_API_H
#define UWSGI_API_H

#include <Python.h>

PyObject *api_workers(PyObject *self, PyObject *unused);
PyObject *api_doing(PyObject *self, PyObject *unused);
PyObject *api_total_requests(PyObject *self, PyObject *unused);
PyObject *api_request_id(PyObject *self, PyObject *unused);
PyObject *api_fd(PyObject *self, PyObject *unused);
PyObject *api_disconnect(PyObject *self, PyObject *unused);
PyObject *api_set_logvar(PyObject *self, PyObject *args);
PyObject *api_get_logvar(PyObject *self, PyObject *args);
PyObject *api_log_this_request(PyObject *self, PyObject *unused);
PyObject *api_set_user_harakiri(PyObject *self, PyObject *args);
PyObject *api_environ(PyObject *self, PyObject *unused);
PyObject *api_start_response(PyObject *self, PyObject *unused);
PyObject *api_write(PyObject *self, PyObject *data);
PyObject *api_add_var(PyObject *self, PyObject *args);
PyObject *api_websocket_handshake(PyObject *self, PyObject *args);
PyObject *api_websocket_recv(PyObject *self, PyObject *unused);
PyObject *api_websocket_recv_nb(PyObject *self, PyObject *unused);
PyObject *api_websocket_send(PyObject *self, PyObject *data);
PyObject *api_websocket_send_binary(PyObject *self, PyObject *data);
PyObject *api_offer_sockets(PyObject *self, PyObject *f);
PyObject *api_take_socket(PyObject *self, PyObject *args);
PyObject *api_after_request(PyObject *self, PyObject *hook);
PyObject *api_accepting(PyObject *self, PyObject *args);

#define API_METHODS \
	{"workers", api_workers, METH_NOARGS, "workers() -> str: the scoreboard as JSON"}, \
	{"doing", api_doing, METH_NOARGS, \
	 "doing() -> str: the requests in hand as JSON, [\"IP METHOD URI\", epoch] each"}, \
	{"total_requests", api_total_requests, METH_NOARGS, "total_requests() -> int: of the whole instance"}, \
	{"request_id", api_request_id, METH_NOARGS, "request_id() -> int: requests finished on this core"}, \
	{"connection_fd", api_fd, METH_NOARGS, "connection_fd() -> int: the client's descriptor"}, \
	{"disconnect", api_disconnect, METH_NOARGS, \
	 "disconnect(): end the client's connection, the application goes on"}, \
	{"set_logvar", api_set_logvar, METH_VARARGS, "set_logvar(name, value): a variable for log-format"}, \
	{"get_logvar", api_get_logvar, METH_VARARGS, "get_logvar(name) -> bytes or None"}, \
	{"environ", api_environ, METH_NOARGS, "environ() -> dict: of the request in hand"}, \
	{"start_response", api_start_response, METH_NOARGS, \
	 "start_response() -> callable: of the request in hand"}, \
	{"write", api_write, METH_O, "write(data): a block of the body of the request in hand"}, \
	{"add_var", api_add_var, METH_VARARGS, "add_var(name, value) -> bool: a variable of the request in hand"}, \
	{"websocket_handshake", api_websocket_handshake, METH_VARARGS, \
	 "websocket_handshake(key='', origin='', protocol=''): answer 101"}, \
	{"websocket_recv", api_websocket_recv, METH_NOARGS, \
	 "websocket_recv() -> bytes: the next message, waited for"}, \
	{"websocket_recv_nb", api_websocket_recv_nb, METH_NOARGS, \
	 "websocket_recv_nb() -> bytes: the next message, b'' if there is none"}, \
	{"websocket_send", api_websocket_send, METH_O, "websocket_send(data): a text message"}, \
	{"websocket_send_binary", api_websocket_send_binary, METH_O, \
	 "websocket_send_binary(data): a binary message"}, \
	{"offer_sockets", api_offer_sockets, METH_O, \
	 "offer_sockets(f): call f(environ, exchange, serial) for requests whose connection may be taken"}, \
	{"take_socket", api_take_socket, METH_VARARGS, \
	 "take_socket(exchange, serial) -> int: a descriptor of that request's connection, "\
	 "which is the caller's from here on"}, \
	{"after_request", api_after_request, METH_O, "after_request(hook): call hook() when a request is over"}, \
	{"log_this_request", api_log_this_request, METH_NOARGS, \
	 "log_this_request(): log it whatever the options say"}, \
	{"set_user_harakiri", api_set_user_harakiri, METH_VARARGS, \
	 "set_user_harakiri(seconds): a deadline for this request, 0 clears it"}, \
	{"accepting", api_accepting, METH_VARARGS, "accepting(on=1): the worker's accepting flag"},

#endif
