// What module.c tells the other files of the module.
#ifndef UWSGI_MODULE_H
#define UWSGI_MODULE_H

// module_refuse sets an exception and returns -1 where no data plane can be called: before start(),
// and in a child that the application forked.
int module_refuse(void);

#endif
