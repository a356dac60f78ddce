/*
 * cron.h — what this extension asks of pg_cron, in pg_cron's own database.
 */
#ifndef TXP_CRON_H
#define TXP_CRON_H

#include "postgres.h"
#include "utils/array.h"

/*
 * Runs one operation as the current user, on jobs of the database `target`. Elements of `args`, and the answer:
 * schedule: name, schedule (NULL: remove the job), command, of each job → [{"job", "job_id", "removed"}]
 * status: commands → [{"command", "job_id", …}], of all roles whose jobs the user may see
 * prune: the age as an interval, commands → the number of records removed
 * ERRORs: 55000 where pg_cron is not installed, 42501 where the role may not use it, 22023 for a bad schedule, 42710
 * for a job's name that another database has.
 */
extern char *txp_cron_run(const char *operation, ArrayType *args, const char *target);

#endif
