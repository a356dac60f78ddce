/*
 * page.h — the dashboard as a file that is written anew every txpipe.dashboard_interval.
 */
#ifndef TXP_PAGE_H
#define TXP_PAGE_H

#include "postgres.h"

/*
 * Called by workers between batches, outside of a transaction; one of the database's workers writes when it is time.
 * The page is made as the owner of the schema dwh, or, where there is none, as the extension's owner and without
 * looking for one; read-only, and for two seconds at most. Errors are logged once, and tried again a minute later.
 */
extern void txp_page_some(void);
/* No page is wanted any more: there is no extension. */
extern void txp_page_end(void);

#endif
