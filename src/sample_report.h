/*
 * sample_report.h — what a sample says about a mapping: columns it never fills, messages it cannot use.
 */
#ifndef TXP_SAMPLE_REPORT_H
#define TXP_SAMPLE_REPORT_H

#include "sample.h"

/*
 * A NOTICE with the columns no sampled message fills and the fields seen; a WARNING with the first reason when
 * none of the messages became a row. Nothing when there were no messages.
 */
extern void txp_sample_report(const char *topic, const TxpRowPlan *plan, const TxpSample *sample);

#endif
