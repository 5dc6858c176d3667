// The head of a response, as bytes for the data plane: what both WSGI and ASGI applications say of
// it is checked here.
#include <Python.h>
#include <string.h>

#include "head.h"
#include "wsgi.h"

int uw_head_clean(const char *s, Py_ssize_t n, const char *what)
{
	Py_ssize_t i = 0;
	for (; i + 8 <= n; i += 8) { // eight at a time, while none of them can be one
		uint64_t w;
		memcpy(&w, s + i, 8);
		const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
		uint64_t below = (w - 32 * ones) & ~w, del = w ^ (127 * ones);
		if ((below | ((del - ones) & ~del)) & high)
			break;
	}
	for (; i < n; i++) {
		unsigned char ch = (unsigned char)s[i];
		if ((ch < 32 && ch != '\t') || ch == 127) {
			PyErr_Format(PyExc_ValueError, "%s must not contain control characters", what);
			return -1;
		}
	}
	return 0;
}

// The bytes of a token.
static const unsigned char head_token_byte[256] = {
	['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,
	['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

int uw_token(const char *s, Py_ssize_t n)
{
	if (n == 0)
		return 0;
	for (Py_ssize_t i = 0; i < n; i++) {
		unsigned char ch = (unsigned char)s[i];
		if (!head_token_byte[ch])
			return 0;
	}
	return 1;
}

int uw_same(const char *s, Py_ssize_t n, const char *lower, size_t m)
{
	if ((size_t)n != m)
		return 0;
	for (size_t i = 0; i < m; i++) {
		char ch = s[i];
		if (ch >= 'A' && ch <= 'Z')
			ch += 32;
		if (ch != lower[i])
			return 0;
	}
	return 1;
}

static int head_contains(const char *s, Py_ssize_t n, const char *lower, size_t m)
{
	for (Py_ssize_t i = 0; i + (Py_ssize_t)m <= n; i++)
		if (uw_same(s + i, (Py_ssize_t)m, lower, m))
			return 1;
	return 0;
}

// head_note remembers what the framing depends on. Returns 1 when the header is the server's to
// write, not the application's.
static int head_note(uw_exchange *x, const char *k, Py_ssize_t kl, const char *v, Py_ssize_t vl)
{
	switch (kl) {
	case 4:
		if (UW_IS(k, kl, "date"))
			x->has_date = 1;
		break;
	case 6:
		if (UW_IS(k, kl, "server"))
			x->has_server = 1;
		break;
	case 10:
		if (UW_IS(k, kl, "connection")) {
			if (head_contains(v, vl, "upgrade", 7)) {
				x->upgrade = 1;
				return 0;
			}
			if (head_contains(v, vl, "close", 5))
				x->conn_close = 1;
			return 1;
		}
		if (UW_IS(k, kl, "keep-alive"))
			return 1;
		break;
	case 14:
		if (UW_IS(k, kl, "content-length")) {
			int64_t n = 0;
			Py_ssize_t i = 0;
			for (; i < vl && v[i] >= '0' && v[i] <= '9' && n < (INT64_MAX - 9) / 10; i++)
				n = n * 10 + (v[i] - '0');
			if (vl == 0 || i < vl || (x->length >= 0 && x->length != n)) {
				PyErr_SetString(PyExc_ValueError, "Content-Length must be one decimal number");
				return -1;
			}
			if (x->length >= 0 || x->status == 204) // RFC 9110 §8.6: 204 has none
				return 1;
			x->length = n;
		}
		break;
	case 17:
		if (UW_IS(k, kl, "transfer-encoding"))
			x->has_te = 1;
		break;
	}
	return 0;
}

int uw_head_field(uw_exchange *x, const char *name, Py_ssize_t name_len, const char *value, Py_ssize_t value_len)
{
	if (uw_head_clean(value, value_len, "http header value") < 0)
		return -1;
	int own = head_note(x, name, name_len, value, value_len);
	if (own)
		return own > 0 ? 0 : -1;
	if (uw_head_line(&x->head_buf, &x->head_cap, &x->head_len, name, name_len, value, value_len) < 0)
		return -1;
	x->headers++;
	return 0;
}

int uw_head_line(char **buf, size_t *cap, size_t *len, const char *name, Py_ssize_t name_len, const char *value, Py_ssize_t value_len)
{
	if (uw_grow(buf, cap, *len + (size_t)(name_len + value_len) + 4) < 0)
		return -1;
	char *p = *buf + *len;
	memcpy(p, name, (size_t)name_len);
	p += name_len;
	*p++ = ':';
	*p++ = ' ';
	memcpy(p, value, (size_t)value_len);
	p += value_len;
	*p++ = '\r';
	*p++ = '\n';
	*len = (size_t)(p - *buf);
	return 0;
}

int uw_head_status(uw_exchange *x, int status)
{
	const char *reason = uw_reason(status);
	size_t len = strlen(reason);
	if (uw_grow(&x->reason_buf, &x->reason_cap, 4 + len) < 0)
		return -1;
	x->reason_buf[0] = (char)('0' + status / 100);
	x->reason_buf[1] = (char)('0' + status / 10 % 10);
	x->reason_buf[2] = (char)('0' + status % 10);
	x->reason_buf[3] = ' '; // RFC 9112 §4: it stays, also without a reason
	memcpy(x->reason_buf + 4, reason, len);
	x->reason = x->reason_buf;
	x->reason_len = 4 + len;
	x->status = status;
	return 0;
}

void uw_head_done(uw_exchange *x)
{
	x->head = x->head_buf;
	x->has_head = 1;
}

void uw_head_reset(uw_exchange *x)
{
	x->has_head = 0;
	x->status = 0;
	x->reason_len = x->head_len = 0;
	x->headers = 0;
	x->length = -1;
	x->conn_close = x->upgrade = x->has_te = x->has_date = x->has_server = 0;
}
