-- 76_dashboard_page.sql: the dashboard: its style, its sections, the page, and the file of it.
--
-- Every section reads what everybody may read, as the caller, and is NULL where there is nothing for the caller to see.

CREATE FUNCTION txpipe.dashboard_style()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT $css$
:root{--page:#f5f6f8;--card:#fff;--ink:#17202b;--soft:#566273;--line:#dfe3e9;--accent:#2957c8;--fill:#e3eafb;--earlier:#c9d3e6;
--good:#0d6940;--good-fill:#dff3e8;--warn:#7f4a00;--warn-fill:#fcefd2;--bad:#a8221a;--bad-fill:#fce4e2;--idle:#4c5867;--idle-fill:#e9edf2;
--shadow:0 1px 2px rgba(16,28,45,.05),0 4px 16px rgba(16,28,45,.04)}
@media screen and (prefers-color-scheme:dark){:root{--page:#0d1218;--card:#161d26;--ink:#e8edf3;--soft:#9caabb;--line:#2a3442;--accent:#86aaff;
--fill:#1f2d4d;--earlier:#3a475b;--good:#6fd6a2;--good-fill:#123324;--warn:#f2c069;--warn-fill:#3a2a0c;--bad:#ff9d94;--bad-fill:#44191a;
--idle:#b2beca;--idle-fill:#252f3b;--shadow:none}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 Inter,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
h1,h2,h3,p,ul,dl,dd,figure{margin:0;padding:0}
ul{list-style:none}
h1{font-size:1.45rem;line-height:1.25;font-weight:650;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{font-size:1.15rem;font-weight:650;letter-spacing:-.01em;margin:2.4rem 0 .9rem}
h3{font-size:.95rem;font-weight:600;overflow-wrap:anywhere}
a{color:var(--accent)}
code{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.wrap{max-width:76rem;margin:0 auto;padding:0 1.25rem}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:-99rem;top:.5rem;z-index:2;background:var(--card);padding:.5rem 1rem;border-radius:8px}
.skip:focus{left:1rem}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:4px}
main:focus{outline:none}
.top{padding:1.6rem 0 0}
.top .wrap{display:flex;flex-wrap:wrap;gap:.9rem 1.5rem;align-items:center}
.brand{display:flex;gap:.85rem;align-items:center;flex:1 1 18rem;min-width:0}
.brand svg{width:38px;height:38px;flex:none}
.brand div{min-width:0}
.soft,.note,.label,.top time{color:var(--soft)}
.soft,.note{font-size:.86rem}
nav{flex:1 0 100%;border-bottom:1px solid var(--line)}
nav ul{display:flex;flex-wrap:wrap;gap:0 1.4rem}
nav a{display:inline-block;padding:.5rem 0;text-decoration:none;color:var(--soft);font-weight:500;font-size:.92rem;border-bottom:2px solid transparent}
nav a:hover{color:var(--ink);border-color:var(--accent)}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:1.1rem 1.2rem;box-shadow:var(--shadow);min-width:0}
.tiles,.cards,.pair,.trio{display:grid;gap:1rem;grid-template-columns:repeat(4,1fr)}
.cards{grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr))}
.pair{grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr))}
.trio{grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr))}
section>*+*{margin-top:1rem}
section>h2+*{margin-top:0}
.tile{display:flex;flex-direction:column}
.label{font-size:.84rem;font-weight:500}
.value{font-size:1.7rem;line-height:1.25;font-weight:650;letter-spacing:-.02em;margin:.1rem 0;overflow-wrap:anywhere}
.up{color:var(--good);font-weight:600}
.down{color:var(--bad);font-weight:600}
.spark{display:block;width:100%;height:34px;margin-top:auto;padding-top:.5rem;overflow:visible;box-sizing:content-box}
.spark polyline{fill:none;stroke:var(--accent);stroke-width:1.6;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.spark polygon{fill:var(--fill)}
.pill{display:inline-block;padding:.08rem .6rem;border-radius:99px;font-size:.8rem;font-weight:600;white-space:nowrap;background:var(--idle-fill);color:var(--idle)}
.pill.good{background:var(--good-fill);color:var(--good)}
.pill.warn{background:var(--warn-fill);color:var(--warn)}
.pill.bad{background:var(--bad-fill);color:var(--bad)}
.verdict{display:flex;gap:.9rem;align-items:baseline;flex-wrap:wrap}
.verdict p{font-weight:600}
.todo li{padding:.7rem 0;border-top:1px solid var(--line);display:grid;grid-template-columns:auto 1fr;gap:.15rem .75rem;align-items:baseline}
.todo{margin-top:.9rem}
.todo:first-child{margin-top:0}
.todo:first-child li:first-child{border:0;padding-top:0}
.todo li:last-child{padding-bottom:0}
.todo div{min-width:0;overflow-wrap:anywhere}
.todo code{color:var(--soft)}
.head{display:flex;justify-content:space-between;gap:.75rem;align-items:baseline;margin-bottom:.6rem}
.head.wide{flex-wrap:wrap;margin-bottom:1.1rem}
dl{display:grid;grid-template-columns:repeat(2,1fr);gap:.5rem 1rem}
dt{color:var(--soft);font-size:.8rem}
dd{font-weight:600}
.why{font-size:.86rem;overflow-wrap:anywhere;margin-top:.7rem}
.plot{display:grid;grid-template-columns:auto 1fr;gap:.6rem}
.plot>svg{width:100%;height:210px;overflow:visible}
.plot rect{fill:var(--accent)}
.plot rect.earlier,.key .earlier{fill:var(--earlier)}
.key svg{width:10px;height:10px;fill:var(--accent);margin-right:.35rem}
.key span{margin-right:1rem;white-space:nowrap}
.key span:last-child{margin-right:0}
td .spark{min-width:3.5rem;max-width:16rem;height:24px;padding:0}
.grid{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke;fill:none}
.scale{display:flex;flex-direction:column;justify-content:space-between;height:calc(210px + 1.2rem);margin:-.6rem 0;text-align:right;color:var(--soft);font-size:.75rem;line-height:1.2rem;min-width:3rem}
.ticks{display:flex;justify-content:space-between;margin:.45rem 0 0 3.6rem;color:var(--soft);font-size:.75rem}
.ticks b{font-weight:inherit}
.ticks.even span{flex:1 1 0;text-align:center;min-width:0}
details{margin-top:.8rem}
summary{cursor:pointer;color:var(--accent);font-size:.86rem;font-weight:500;width:fit-content}
.scroll{overflow:auto;margin-top:.5rem;position:relative}
details .scroll{max-height:22rem;max-width:30rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.5rem .9rem .5rem 0;border-bottom:1px solid var(--line);vertical-align:top;font-weight:400}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--soft);font-size:.8rem;font-weight:500;white-space:nowrap}
th:last-child,td:last-child{padding-right:0}
td.n,th.n{text-align:right;white-space:nowrap}
.n+:not(.n){padding-left:1rem}
table.wide{min-width:34rem}
tbody th,.wide td:last-child{overflow-wrap:anywhere}
tbody th{min-width:7rem}
.nowrap{white-space:nowrap}
.bar{display:block;width:100%;height:5px;margin-top:.3rem;border-radius:3px;fill:var(--accent)}
.bar .track{fill:var(--idle-fill)}
.start{counter-reset:step}
.start li{counter-increment:step;padding:.9rem 0;border-top:1px solid var(--line)}
.start li:first-child{border:0}
.start h3::before{content:counter(step) ". "}
.start code{display:block;white-space:pre-wrap;background:var(--page);border-radius:8px;padding:.6rem .8rem;margin-top:.5rem}
footer.wrap{margin-top:2.5rem;padding-top:1.2rem;padding-bottom:2rem}
small{font-size:.62em;font-weight:600;letter-spacing:0}
dd small{font-size:.86em}
@media(min-width:62rem){.alerts{columns:2;column-gap:2.5rem}.alerts li{break-inside:avoid}}
@media(max-width:62rem){.tiles{grid-template-columns:repeat(2,1fr)}}
@media(max-width:40rem){.wrap{padding:0 .9rem}.card{padding:1rem}.tiles{gap:.7rem}.tile{padding:.8rem .85rem}.value{font-size:1.3rem}.plot>svg{height:170px}.scale{height:calc(170px + 1.2rem)}h2{margin-top:1.9rem}.ticks b{display:none}th,td{padding-right:.7rem}nav ul{gap:0 1.1rem}
.scroll:has(.wide){background:linear-gradient(90deg,var(--card) 40%,transparent) 0/2rem 100% no-repeat local,linear-gradient(-90deg,var(--card) 40%,transparent) 100%/2rem 100% no-repeat local,
linear-gradient(90deg,var(--line),transparent) 0/.7rem 100% no-repeat scroll,linear-gradient(-90deg,var(--line),transparent) 100%/.7rem 100% no-repeat scroll}}
@media(prefers-reduced-motion:reduce){*{scroll-behavior:auto!important;transition:none!important;animation:none!important}}
@media(forced-colors:active){.plot rect,.bar rect,.spark polyline{forced-color-adjust:none}}
@media print{@page{margin:13mm}:root{--page:#fff;--shadow:none}html{font-size:11.5px}body{font-size:1rem}nav,.skip,summary{display:none}.wrap{padding:0;max-width:none}
.card,tr,.tiles{break-inside:avoid}h2,h3{break-after:avoid}h2{margin-top:1.5rem}.card{padding:.8rem}.tiles{grid-template-columns:repeat(4,1fr)}.pair,.cards{grid-template-columns:repeat(2,1fr)}
.trio{grid-template-columns:repeat(3,1fr)}.plot>svg{height:120px}.scale{height:calc(120px + 1.2rem)}th,td{padding:.3rem .4rem .3rem 0}.scroll{overflow:visible;max-height:none}table.wide{min-width:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
$css$
$body$;
COMMENT ON FUNCTION txpipe.dashboard_style() IS 'Part of dashboard(): its style sheet';

-- A ledger of years is not counted for every page: the newest files are, and all that wait or failed.
CREATE VIEW txpipe.recent_files WITH (security_barrier) AS
    WITH newest AS MATERIALIZED (
        SELECT file_id, feed_id, state, rows_read, rows_loaded, rows_rejected, loaded_at
          FROM txpipe.file_ledger ORDER BY file_id DESC LIMIT 5000
    ), counted AS (
        TABLE newest
        UNION ALL
        SELECT file_id, feed_id, state, rows_read, rows_loaded, rows_rejected, loaded_at
          FROM txpipe.file_ledger
         WHERE state IN ('settling', 'waiting', 'loading', 'failed', 'poison')
           AND file_id < (SELECT min(n.file_id) FROM newest n)
    )
    SELECT f.feed, f.group_name, f.ordinal,
           CASE WHEN c.state = 'loaded' AND c.rows_rejected > 0 THEN 'loaded_with_rejects' ELSE c.state END AS state,
           count(c.file_id) AS files, sum(c.rows_read)::bigint AS rows_read, sum(c.rows_loaded)::bigint AS rows_loaded,
           sum(c.rows_rejected)::bigint AS rows_rejected, max(c.loaded_at) AS loaded_at, max(c.file_id) AS last_file_id
      FROM txpipe.feed f
      LEFT JOIN counted c USING (feed_id)
     WHERE txpipe.may_watch(f.owner_oid, f.owner_name, f.target_schema, f.target_table)
     GROUP BY f.feed, f.group_name, f.ordinal, 4;
GRANT SELECT ON txpipe.recent_files TO PUBLIC;
COMMENT ON VIEW txpipe.recent_files IS
    'Feeds whose target you may read, with their files by state: of the newest 5,000 files of all feeds, and all that wait or failed';
COMMENT ON COLUMN txpipe.recent_files.feed IS 'Name of the feed';
COMMENT ON COLUMN txpipe.recent_files.group_name IS 'Feeds of one group name deliver groups of files that load together';
COMMENT ON COLUMN txpipe.recent_files.ordinal IS 'Order in which the feeds of a group load';
COMMENT ON COLUMN txpipe.recent_files.state IS 'State of these files, as in txpipe.file; NULL: the feed has none';
COMMENT ON COLUMN txpipe.recent_files.files IS 'How many they are';
COMMENT ON COLUMN txpipe.recent_files.rows_read IS 'Records in them';
COMMENT ON COLUMN txpipe.recent_files.rows_loaded IS 'Records of them that were loaded';
COMMENT ON COLUMN txpipe.recent_files.rows_rejected IS 'Records of them in txpipe.rejected_row';
COMMENT ON COLUMN txpipe.recent_files.loaded_at IS 'When the last of them was loaded';
COMMENT ON COLUMN txpipe.recent_files.last_file_id IS 'The newest of them, as in txpipe.file';

-- What asks for somebody, worst first.
CREATE FUNCTION txpipe.dashboard_troubles(files txpipe.recent_files[])
RETURNS TABLE (severity text, subject text, advice text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RETURN QUERY
    SELECT t.* FROM (
        SELECT CASE WHEN s.state = 'error' THEN 'bad' ELSE 'warn' END,
               format('Stream %s is %s%s', txpipe.html_name(s.stream),
                      CASE WHEN s.state = 'error' THEN 'in error' WHEN s.state = 'running' THEN 'running short of workers'
                           ELSE txpipe.html(s.state) END,
                      coalesce(': ' || txpipe.html(CASE WHEN s.state = 'error' THEN coalesce(s.last_error, s.reason) ELSE s.reason END), '')),
               txpipe.html(CASE WHEN s.state = 'paused' THEN format('SELECT txpipe.resume_stream(%L)', s.stream)
                                ELSE format('SELECT * FROM txpipe.stream_event WHERE stream = %L', s.stream) END)
        FROM txpipe.stream_status s WHERE s.state <> 'running' OR s.reason IS NOT NULL
        UNION ALL
        SELECT 'warn', format('Stream %s has %s open dead letters', txpipe.html_name(s.stream), txpipe.html_number(s.open_dead_letters)),
               txpipe.html(format('SELECT code, message, payload_text FROM txpipe.dead_letter WHERE stream = %L AND state = ''open''', s.stream))
        FROM txpipe.stream_status s WHERE s.open_dead_letters > 0
        UNION ALL
        SELECT CASE WHEN f.state = 'changed' THEN 'warn' ELSE 'bad' END,
               format('%s %s %s', txpipe.html_number(sum(f.files)), CASE WHEN sum(f.files) = 1 THEN 'file is' ELSE 'files are' END, txpipe.html(f.state)),
               txpipe.html(format('SELECT file_id, file_name, reason FROM txpipe.file WHERE state = %L', f.state))
        FROM unnest(files) f WHERE f.state IN ('failed', 'poison', 'rejected', 'changed') GROUP BY f.state
        UNION ALL
        SELECT 'bad', format('The last run of %s failed: %s', txpipe.html(r.job), txpipe.html(coalesce(r.message, ''))),
               txpipe.html(format('SELECT * FROM txpipe.run WHERE job = %L ORDER BY run_id DESC', r.job))
        FROM (SELECT DISTINCT ON (l.job) l.job, l.state, l.message
              FROM (SELECT * FROM txpipe.run ORDER BY run_id DESC LIMIT 200) l ORDER BY l.job, l.run_id DESC) r
        WHERE r.state = 'failed'
    ) t (kind, about, advice)
    ORDER BY t.kind = 'warn', t.about COLLATE "C";
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_troubles(txpipe.recent_files[]) IS
'What needs attention, given the rows of recent_files, as the caller may see it, worst first. Result: severity (bad or warn), subject (HTML), advice (a
statement, as HTML). Part of dashboard()';

CREATE FUNCTION txpipe.dashboard_verdict(files txpipe.recent_files[])
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    troubles text;
    bad bigint;
    total bigint;
BEGIN
    SELECT string_agg(format('<li><span class="pill %s">%s</span><div><p>%s</p><code>%s</code></div></li>', t.severity,
                             CASE t.severity WHEN 'bad' THEN 'fix' ELSE 'check' END, t.subject, t.advice), '' ORDER BY t.n)
               FILTER (WHERE t.n <= 12),
           count(*) FILTER (WHERE t.severity = 'bad'), count(*)
        INTO troubles, bad, total
        FROM txpipe.dashboard_troubles(files) WITH ORDINALITY AS t (severity, subject, advice, n);
    RETURN format('<div class="card"><div class="verdict"><span class="pill %s">%s</span><p>%s</p></div>%s</div>',
                  CASE WHEN bad > 0 THEN 'bad' WHEN total > 0 THEN 'warn' ELSE 'good' END,
                  CASE WHEN bad > 0 THEN 'Not working' WHEN total > 0 THEN 'Working' ELSE 'All well' END,
                  CASE total WHEN 0 THEN 'Nothing needs your attention.' WHEN 1 THEN 'One thing needs your attention.'
                       ELSE txpipe.html_number(total) || ' things need your attention.' END,
                  coalesce('<ul class="todo">' || troubles || '</ul>', '')
                  || CASE WHEN total > 12 THEN format('<p class="soft">And %s more.</p>', txpipe.html_number(total - 12)) ELSE '' END);
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_verdict(txpipe.recent_files[]) IS 'Whether all is well, and what to do where it is not. Part of dashboard()';

-- Messages a minute in the last hour, the newest last; the minute under way is left out.
CREATE FUNCTION txpipe.dashboard_minutes()
RETURNS TABLE (stream text, messages numeric[])
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    until CONSTANT timestamptz := date_trunc('minute', statement_timestamp());
BEGIN
    RETURN QUERY
    WITH arrived AS (
        SELECT b.stream, date_bin('1 minute', b.finished_at, until) AS minute, sum(b.messages) AS messages
        FROM txpipe.batch_history b
        WHERE b.finished_at >= until - interval '60 minutes' AND b.finished_at < until
        GROUP BY 1, 2)
    SELECT s.stream, ARRAY(SELECT coalesce(a.messages, 0)
                           FROM generate_series(until - interval '60 minutes', until - interval '1 minute', '1 minute') AS m (minute)
                           LEFT JOIN arrived a ON a.stream = s.stream AND a.minute = m.minute ORDER BY m.minute)
    FROM (SELECT DISTINCT a.stream FROM arrived a) s;
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_minutes() IS
'Messages that arrived in each of the last 60 full minutes, of streams that had some. Part of dashboard()';

CREATE FUNCTION txpipe.dashboard_overview(files txpipe.recent_files[])
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    tiles text := '';
    s record;
    f record;
    r record;
BEGIN
    SELECT count(*) AS streams, count(*) FILTER (WHERE t.state = 'running') AS running, sum(t.lag_messages) AS lag,
           max(t.lag_seconds) AS lag_seconds, sum(t.rows_per_second_10) AS rate, sum(t.rows_total) AS rows,
           sum(t.open_dead_letters) AS letters
        INTO s FROM txpipe.stream_status t;
    IF s.streams > 0 THEN
        tiles := txpipe.html_tile('Streams running', format('%s of %s', txpipe.html_number(s.running), txpipe.html_number(s.streams)),
                                  txpipe.html_short(s.rows) || ' rows so far')
            || txpipe.html_tile('Lag', txpipe.html_short(s.lag) || ' <small>messages</small>',
                                CASE WHEN s.lag IS NULL THEN 'no broker was heard yet'
                                     WHEN s.lag > 0 THEN format('oldest from %s ago', txpipe.html_duration(s.lag_seconds))
                                     ELSE 'everything is in its table' END)
            || txpipe.html_tile('Arriving', txpipe.html_short(s.rate) || ' <small>rows/s</small>',
                                CASE WHEN s.rate IS NULL THEN 'not measured: txpipe is not preloaded' ELSE 'over the last ten seconds' END)
            || txpipe.html_tile('Dead letters', txpipe.html_short(s.letters) || ' <small>open</small>',
                                'messages that could not become rows');
    END IF;
    SELECT sum(t.files) AS files, sum(t.files) FILTER (WHERE t.state IN ('settling', 'waiting', 'loading')) AS waiting,
           max(t.loaded_at) AS loaded_at, sum(t.rows_read) AS rows_read, sum(t.rows_loaded) AS rows_loaded, sum(t.rows_rejected) AS rejected
        INTO f FROM unnest(files) t;
    IF f.files > 0 THEN
        tiles := tiles || txpipe.html_tile(CASE WHEN f.files < 5000 THEN 'Files' ELSE 'Newest files' END, txpipe.html_short(f.files),
                                           CASE WHEN f.waiting > 0 THEN txpipe.html_number(f.waiting) || ' waiting to be loaded'
                                                ELSE 'none is waiting' END)
            || txpipe.html_tile('Rejected lines', txpipe.html_short(f.rejected),
                                coalesce(format('%s %% of %s read', txpipe.html_number(100 * f.rejected / nullif(f.rows_read, 0), 2),
                                                txpipe.html_short(f.rows_read)), 'nothing read yet'));
    END IF;
    SELECT * INTO r FROM txpipe.run t ORDER BY t.run_id DESC LIMIT 1;
    IF FOUND AND f.files > 0 THEN
        tiles := tiles || txpipe.html_tile('Last run', txpipe.html_state(r.state),
                                           format('<code>%s</code>, %s', txpipe.html(r.job), txpipe.html_age(r.started_at)))
            || txpipe.html_tile('Last file loaded', txpipe.html_age(f.loaded_at),
                                txpipe.html_short(f.rows_loaded) || ' rows loaded in all');
    END IF;
    RETURN '<section aria-labelledby="health"><h2 id="health">Health</h2>' || txpipe.dashboard_verdict(files)
           || '<ul class="tiles">' || tiles || '</ul></section>';
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_overview(txpipe.recent_files[]) IS 'Part of dashboard(): the section Health: what needs attention, and the figures of streams and files';

CREATE FUNCTION txpipe.dashboard_stream_card(s txpipe.stream_status, minutes numeric[])
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    figures text;
BEGIN
    SELECT string_agg(format('<div><dt>%s</dt><dd>%s</dd></div>', t, coalesce(d, '–')), '' ORDER BY n) INTO figures
    FROM (VALUES (1, 'Lag', txpipe.html_number(s.lag_messages) || CASE WHEN s.lag_seconds > 0 AND s.lag_messages > 0
                                THEN format(' <small class="soft">%s</small>', txpipe.html_duration(s.lag_seconds)) ELSE '' END),
                 (2, 'Rows a second', txpipe.html_number(s.rows_per_second_10, 1)),
                 (3, 'Rows', txpipe.html_number(s.rows_total)),
                 (4, 'Open dead letters', txpipe.html_number(s.open_dead_letters))) v (n, t, d);
    RETURN format('<li class="card"><div class="head"><h3>%s</h3>%s</div><dl>%s</dl>%s%s%s</li>',
                  txpipe.html_name(s.stream), txpipe.html_state(s.state), figures,
                  '<p class="why">' || txpipe.html(s.reason) || '</p>',
                  '<p class="why">Last error, ' || txpipe.html_age(s.last_error_at) || ': ' || txpipe.html(s.last_error) || '</p>',
                  txpipe.svg_spark(minutes, format('Messages a minute of %s in the last hour: %s in all, at most %s',
                      txpipe.html(s.stream), txpipe.html_number((SELECT sum(v) FROM unnest(minutes) AS v)),
                      txpipe.html_number((SELECT max(v) FROM unnest(minutes) AS v)))));
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_stream_card(txpipe.stream_status, numeric[]) IS
'One stream as a card: its state, figures, messages a minute. Part of dashboard()';

CREATE FUNCTION txpipe.dashboard_streams()
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    shown CONSTANT integer := 12;
    cards text;
    others text;
    chart text;
    sums numeric[];
    until CONSTANT timestamptz := date_trunc('minute', statement_timestamp());
BEGIN
    -- Those that do not run come first, then the busy ones.
    WITH m AS MATERIALIZED (SELECT * FROM txpipe.dashboard_minutes())
    SELECT string_agg(CASE WHEN t.n <= shown THEN txpipe.dashboard_stream_card(t.status, t.messages) END, '' ORDER BY t.n),
           string_agg(CASE WHEN t.n > shown THEN format('<tr><th scope="row">%s</th><td>%s</td><td class="n">%s</td><td class="n">%s</td></tr>',
               txpipe.html_name((t.status).stream), txpipe.html_state((t.status).state),
               coalesce(txpipe.html_number((t.status).lag_messages), '–'), txpipe.html_number((t.status).rows_total)) END, '' ORDER BY t.n),
           (SELECT array_agg(a.total ORDER BY a.n) FROM (SELECT u.n, sum(u.v) AS total FROM m
            CROSS JOIN LATERAL unnest(m.messages) WITH ORDINALITY AS u (v, n) GROUP BY u.n) a)
        INTO cards, others, sums
        FROM (SELECT s AS status, m.messages,
                     row_number() OVER (ORDER BY s.state = 'running', s.rows_per_second_10 DESC NULLS LAST, s.rows_total DESC,
                                        s.stream COLLATE "C") AS n
              FROM txpipe.stream_status s LEFT JOIN m ON m.stream = s.stream) t;
    IF cards IS NULL THEN
        RETURN NULL;
    END IF;
    IF sums IS NOT NULL THEN
        chart := '<div class="card"><div class="head wide"><h3>Messages a minute, last hour</h3><p class="soft">all streams</p></div>'
            || txpipe.svg_columns('minutes', 'Messages a minute of all streams in the last hour',
                   format('%s messages in all, at most %s in a minute', txpipe.html_number((SELECT sum(v) FROM unnest(sums) AS v)),
                          txpipe.html_number((SELECT max(v) FROM unnest(sums) AS v))),
                   ARRAY['Minute', 'Messages'],
                   ARRAY(SELECT to_char(until - g * interval '1 minute', 'HH24:MI') FROM generate_series(60, 1, -1) AS g ORDER BY g DESC),
                   sums, NULL,
                   format('<div class="ticks" aria-hidden="true">%s</div>',
                          (SELECT string_agg('<span>' || to_char(until - g * interval '1 minute', 'HH24:MI') || '</span>', '' ORDER BY g DESC)
                           FROM generate_series(60, 0, -15) AS g))) || '</div>';
    END IF;
    RETURN '<section aria-labelledby="streams"><h2 id="streams">Streams</h2>' || coalesce(chart, '') || '<ul class="cards">' || cards || '</ul>'
        || coalesce('<div class="card"><h3>Other streams</h3>' || txpipe.html_table('Other streams',
               ARRAY['Stream', 'State', '>Lag', '>Rows'], others) || '</div>', '') || '</section>';
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_streams() IS 'Part of dashboard(): the section Streams; NULL: the caller may see none';

-- Why lines and messages were refused; of new files and of so many only, so that the cost has a bound.
CREATE FUNCTION txpipe.dashboard_rejects(files txpipe.recent_files[])
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    newest CONSTANT bigint := (SELECT max(f.last_file_id) FROM unnest(files) f);
    body text;
BEGIN
    SELECT string_agg(format('<tr><th scope="row"><code>%s</code>%s</th><td>%s</td><td class="n">%s</td></tr>', txpipe.html(t.code, 60),
                             txpipe.html_bar(t.refused, t.most), t.source, txpipe.html_number(t.refused)), ''
                      ORDER BY t.refused DESC, t.code COLLATE "C", t.source) INTO body
    FROM (SELECT r.code, r.source, count(*) AS refused, max(count(*)) OVER () AS most,
                 row_number() OVER (ORDER BY count(*) DESC, r.code COLLATE "C", r.source) AS n
          FROM ((SELECT l.code, 'lines' AS source FROM txpipe.rejected_row l WHERE l.state = 'open'
                 AND l.file_id > newest - 1000 LIMIT 5000)
                UNION ALL
                (SELECT d.code, 'messages' FROM txpipe.dead_letter d WHERE d.state = 'open' LIMIT 5000)) r
          GROUP BY r.code, r.source) t
    WHERE t.n <= 8;
    RETURN '<div class="card"><h3>What was refused, and why</h3>' || coalesce(txpipe.html_table('Open rejects by code',
               ARRAY['Code', 'What', '>Open'], body), '<p class="soft">Nothing is open: every line and message became a row.</p>') || '</div>';
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_rejects(txpipe.recent_files[]) IS
'Open rejected lines of the newest 1,000 files and open dead letters by code, of at most 5,000 each. Part of dashboard()';

CREATE FUNCTION txpipe.dashboard_files(files txpipe.recent_files[])
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    states text;
    feeds text;
    runs text;
BEGIN
    SELECT string_agg(format('<tr><th scope="row">%s%s</th><td class="n">%s</td><td class="n">%s</td></tr>', txpipe.html_state(t.state),
                             txpipe.html_bar(t.files, t.most), txpipe.html_number(t.files), txpipe.html_number(t.rows)), ''
                      ORDER BY t.files DESC, t.state COLLATE "C") INTO states
    FROM (SELECT f.state, sum(f.files) AS files, sum(f.rows_loaded) AS rows, max(sum(f.files)) OVER () AS most
          FROM unnest(files) f WHERE f.state IS NOT NULL GROUP BY f.state) t;
    SELECT string_agg(format('<tr><th scope="row">%s</th><td class="n">%s</td><td class="n">%s</td><td class="n">%s</td><td>%s</td></tr>',
                             txpipe.html_name(f.feed), txpipe.html_number(f.files_loaded), txpipe.html_number(f.files_waiting),
                             txpipe.html_number(f.rows_rejected), coalesce(txpipe.html_age(f.loaded_at), 'not yet')), ''
                      ORDER BY f.group_name COLLATE "C", f.ordinal, f.feed COLLATE "C") INTO feeds
    FROM (SELECT l.feed, l.group_name, l.ordinal, coalesce(sum(l.files) FILTER (WHERE l.state ~ '^loaded'), 0) AS files_loaded,
                 coalesce(sum(l.files) FILTER (WHERE l.state IN ('settling', 'waiting', 'loading')), 0) AS files_waiting,
                 coalesce(sum(l.rows_rejected), 0) AS rows_rejected, max(l.loaded_at) AS loaded_at
          FROM unnest(files) l GROUP BY l.feed, l.group_name, l.ordinal
          ORDER BY l.group_name COLLATE "C", l.ordinal, l.feed COLLATE "C" LIMIT 20) f;
    IF feeds IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(format('<tr><th scope="row">%s</th><td>%s</td><td class="nowrap">%s</td><td class="n">%s</td><td>%s</td></tr>',
                             txpipe.html(r.job), txpipe.html_state(r.state), txpipe.html_age(r.started_at),
                             coalesce(txpipe.html_duration(extract(epoch FROM r.finished_at - r.started_at)), '–'),
                             concat_ws('; ', CASE WHEN r.groups_loaded > 0 THEN format('%s groups, %s rows', txpipe.html_number(r.groups_loaded),
                                                                                       txpipe.html_number(r.rows_loaded)) END,
                                       txpipe.html(r.message))), '' ORDER BY r.run_id DESC) INTO runs
    FROM (SELECT * FROM txpipe.run t ORDER BY t.run_id DESC LIMIT 8) r;
    RETURN '<section aria-labelledby="files"><h2 id="files">Files and runs</h2><div class="pair"><div class="card"><h3>Files by state</h3>'
        || coalesce(txpipe.html_table('Files by state', ARRAY['State', '>Files', '>Rows loaded'], states), '<p class="soft">No file has come yet.</p>')
        || '</div>' || txpipe.dashboard_rejects(files) || '</div><div class="card"><h3>Feeds</h3>'
        || txpipe.html_table('Feeds', ARRAY['Feed', '>Loaded', '>Waiting', '>Rejected lines', 'Last loaded'], feeds) || '</div>'
        || '<div class="card"><h3>Last runs</h3>' || coalesce(txpipe.html_table('Last runs',
               ARRAY['Job', 'State', 'Started', '>Took', 'Result'], runs), '<p class="soft">Nothing has run yet.</p>') || '</div></section>';
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_files(txpipe.recent_files[]) IS 'Part of dashboard(): the section Files and runs; NULL: the caller may see no feed';

-- All of it, or the caller sees no figures of sales.
CREATE FUNCTION txpipe.dashboard_may_read_sales()
RETURNS boolean
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'dwh' AND c.relname = 'fact_sales' AND has_schema_privilege(n.oid, 'USAGE'))
           AND (SELECT bool_and(txpipe.may_read('dwh', t.name))
                FROM unnest(ARRAY['rollup_total', 'rollup_product_offer', 'rollup_online_city', 'dim_product', 'dim_offer',
                                  'dim_location']::name[]) AS t (name))
$body$;
COMMENT ON FUNCTION txpipe.dashboard_may_read_sales() IS 'Whether there is a warehouse whose sums of sales the caller may read. Part of dashboard()';

CREATE FUNCTION txpipe.dashboard_sums(from_date date, to_date date, OUT sales numeric, OUT units numeric, OUT gross_amount numeric,
                                      OUT total_paid numeric)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    SELECT sum(s.sales), sum(s.units), sum(s.gross_amount), sum(s.total_paid)
        INTO dashboard_sums.sales, dashboard_sums.units, dashboard_sums.gross_amount, dashboard_sums.total_paid
        FROM txpipe.whole_periods(from_date, to_date) w
        CROSS JOIN LATERAL (SELECT r.* FROM dwh.rollup_total r
                            WHERE r.grain = w.grain AND r.period BETWEEN w.first AND w.last OFFSET 0) s;
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_sums(date, date) IS 'Sums of the sales between two days; NULL: there are none. Part of dashboard()';

CREATE FUNCTION txpipe.dashboard_sales_lists(from_date date, to_date date)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    products text;
    offers text;
    cities text;
BEGIN
    SELECT string_agg(format('<tr><td class="soft">%s</td><th scope="row">%s%s</th><td class="n">%s</td><td class="n">%s</td></tr>', t.rank,
                             txpipe.html_name(t.product_name), txpipe.html_bar(t.units, t.most), txpipe.html_number(t.units),
                             txpipe.html_number(t.total_paid)), '' ORDER BY t.n) INTO products
    FROM (SELECT p.*, max(p.units) OVER () AS most FROM txpipe.top_products(from_date, to_date, 8)
              WITH ORDINALITY AS p (rank, product_id, product_name, units, total_paid, n)) t WHERE t.n <= 12;
    SELECT string_agg(format('<tr><td class="soft">%s</td><th scope="row">%s%s</th><td class="n">%s %%</td><td class="n">%s</td></tr>', t.rank,
                             txpipe.html_name(t.offer_code), txpipe.html_bar(t.redemptions, t.most), t.discount_pct,
                             txpipe.html_number(t.redemptions)), '' ORDER BY t.n) INTO offers
    FROM (SELECT o.*, max(o.redemptions) OVER () AS most FROM txpipe.top_offers(from_date, to_date, 8)
              WITH ORDINALITY AS o (rank, offer_code, discount_pct, redemptions, n)) t WHERE t.n <= 12;
    SELECT string_agg(format('<tr><td class="soft">%s</td><th scope="row">%s%s</th><td class="n">%s</td><td class="n">%s</td></tr>', t.place,
                             txpipe.html_name(t.city || ', ' || t.state), txpipe.html_bar(t.total_paid, t.most), txpipe.html_number(t.orders),
                             txpipe.html_number(t.total_paid)), '' ORDER BY t.n) INTO cities
    FROM (SELECT c.*, max(c.total_paid) OVER () AS most
          FROM (SELECT l.*, rank() OVER (ORDER BY l.rank) AS place, row_number() OVER (ORDER BY l.n) AS line
                FROM txpipe.lowest_online_cities(from_date, to_date, NULL) WITH ORDINALITY AS l (rank, city, state, orders, units, total_paid, n)
                WHERE l.city <> '(unknown)') c WHERE c.place <= 8 AND c.line <= 12) t;
    RETURN '<div class="trio"><div class="card"><h3>Most selling products</h3>'
        || coalesce(txpipe.html_table('Most selling products', ARRAY['Rank', 'Product', '>Units', '>Paid'], products), '')
        || '</div><div class="card"><h3>Most redeemed offers</h3>'
        || coalesce(txpipe.html_table('Most redeemed offers', ARRAY['Rank', 'Offer', '>Discount', '>Redemptions'], offers),
                    '<p class="soft">No offer was redeemed.</p>')
        || '</div><div class="card"><h3>Lowest cities in online sales</h3>'
        || coalesce(txpipe.html_table('Lowest cities in online sales', ARRAY['Rank', 'City', '>Orders', '>Paid'], cities),
                    '<p class="soft">No online sale has a city.</p>')
        || '</div></div>';
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_sales_lists(date, date) IS
'Top products, offers and the lowest cities between two days, as cards; cities without a name are left out. Part of dashboard()';

CREATE FUNCTION txpipe.dashboard_sales()
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    to_date date;
    from_date date;
    year record;
    before record;
    paid numeric[];
    paid_before numeric[];
    sales numeric[];
    units numeric[];
    range text;
BEGIN
    IF NOT txpipe.dashboard_may_read_sales() THEN
        RETURN NULL;
    END IF;
    SELECT max(r.period) INTO to_date FROM dwh.rollup_total r WHERE r.grain = 'day';
    IF to_date IS NULL THEN
        RETURN '<section aria-labelledby="sales"><h2 id="sales">Sales</h2><div class="card"><p>The warehouse is there, and no sale is loaded yet.</p>'
            '<p class="soft">Put files into the landing directory; <code>CALL txpipe.run_hourly()</code> loads complete groups.</p></div></section>';
    END IF;
    -- Twelve months up to the last sale: data may be older than today.
    from_date := date_trunc('month', to_date::timestamp) - interval '11 months';
    range := to_char(from_date, 'FMDD Mon YYYY') || ' to ' || to_char(to_date, 'FMDD Mon YYYY');
    SELECT * INTO year FROM txpipe.dashboard_sums(from_date, to_date);
    SELECT * INTO before FROM txpipe.dashboard_sums((from_date - interval '1 year')::date, (to_date - interval '1 year')::date);
    SELECT array_agg(coalesce(r.total_paid, 0) ORDER BY m.m), array_agg(b.total_paid ORDER BY m.m), array_agg(coalesce(r.sales, 0) ORDER BY m.m),
           array_agg(coalesce(r.units, 0) ORDER BY m.m)
        INTO paid, paid_before, sales, units
        FROM (SELECT (from_date + g * interval '1 month')::date AS m FROM generate_series(0, 11) AS g) m
        LEFT JOIN dwh.rollup_total r ON r.grain = 'month' AND r.period = m.m
        LEFT JOIN dwh.rollup_total b ON b.grain = 'month' AND b.period = (m.m - interval '1 year')::date;
    RETURN '<section aria-labelledby="sales"><h2 id="sales">Sales <span class="soft">' || range || '</span></h2><ul class="tiles">'
        || txpipe.html_tile('Paid', txpipe.html_short(year.total_paid), txpipe.html_change(year.total_paid, before.total_paid),
                            txpipe.svg_spark(paid, 'Paid by month', false))
        || txpipe.html_tile('Sales', txpipe.html_short(year.sales), txpipe.html_change(year.sales, before.sales),
                            txpipe.svg_spark(sales, 'Sales by month', false))
        || txpipe.html_tile('Units', txpipe.html_short(year.units), txpipe.html_change(year.units, before.units),
                            txpipe.svg_spark(units, 'Units by month', false))
        || txpipe.html_tile('Average sale', txpipe.html_number(year.total_paid / nullif(year.sales, 0), 2),
                            format('%s %% discount on average', coalesce(txpipe.html_number(
                                100 * (1 - year.total_paid / nullif(year.gross_amount, 0)), 1), '0')),
                            txpipe.svg_spark(ARRAY(SELECT coalesce(round(p / nullif(n, 0), 2), 0) FROM unnest(paid, sales) WITH ORDINALITY AS u (p, n, i)
                                                   ORDER BY i), 'Average sale by month', false))
        || '</ul><div class="card"><div class="head wide"><h3>Paid by month</h3><p class="soft key"><span><svg viewBox="0 0 1 1" aria-hidden="true">'
           '<rect width="1" height="1"/></svg>this year</span><span><svg viewBox="0 0 1 1" aria-hidden="true"><rect class="earlier" width="1" height="1"/></svg>'
           'the year before</span></p></div>'
        || txpipe.svg_columns('months', 'Paid by month', format('%s, and the same months of the year before', range),
               ARRAY['Month', 'Paid', 'The year before'],
               ARRAY(SELECT to_char(from_date + g * interval '1 month', 'Mon YYYY') FROM generate_series(0, 11) AS g ORDER BY g),
               paid, paid_before,
               '<div class="ticks even" aria-hidden="true">' || (SELECT string_agg(regexp_replace(to_char(from_date + g * interval '1 month', 'Mon'),
                   '(.)(..)', '<span>\1<b>\2</b></span>'), '' ORDER BY g) FROM generate_series(0, 11) AS g) || '</div>')
        || '</div>' || txpipe.dashboard_sales_lists(from_date, to_date) || '</section>';
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_sales() IS
'Part of dashboard(): the section Sales: twelve months up to the last sale, beside the twelve before; NULL: the caller may not
read the sums of a warehouse, or there is none';

CREATE FUNCTION txpipe.dashboard_alerts()
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    body text;
BEGIN
    SELECT string_agg(format('<li>%s<div><p>%s</p><p class="soft">%s</p></div></li>', txpipe.html_state(a.severity),
                             concat_ws(': ', txpipe.html_name(a.rule), txpipe.html_name(a.subject)),
                             concat_ws(', ', txpipe.html(a.reason), txpipe.html_age(a.raised_at))), '' ORDER BY a.alert_id DESC)
    INTO body
    FROM (SELECT * FROM txpipe.alert ORDER BY alert_id DESC LIMIT 12) a;
    IF body IS NULL AND NOT EXISTS (SELECT FROM txpipe.alert_rule) THEN
        RETURN NULL;
    END IF;
    RETURN '<section aria-labelledby="alerts"><h2 id="alerts">Alerts</h2><div class="card">'
        || coalesce('<ul class="todo alerts">' || body || '</ul>', '<p class="soft">No alert was raised.</p>') || '</div></section>';
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_alerts() IS 'Part of dashboard(): the section Alerts: the newest of txpipe.alert; NULL: the caller sees neither alerts nor rules';

CREATE FUNCTION txpipe.window_events(window_id integer, windows integer)
RETURNS TABLE (window_start timestamptz, kind text, events bigint)
LANGUAGE c STABLE STRICT PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'txpipe_window_events';
COMMENT ON FUNCTION txpipe.window_events(integer, integer) IS
'Part of dashboard(): of a window that has count(*), events in so many windows up to the watermark, by the first column it is grouped
by: of the eight values with most events, and with kind NULL of all others. Nothing where there are more than 20,000 such rows, or the caller may not read
them';

CREATE FUNCTION txpipe.dashboard_window(window_id integer, chart text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    shown CONSTANT integer := 24;
    w record;
    labels text[];
    sums numeric[];
    kinds text;
BEGIN
    SELECT v.name, v.slide, date_bin(v.slide, v.watermark, v.origin) AS newest, txpipe.html_duration(extract(epoch FROM v.slide)) AS every,
           replace(v.group_by[1], '_', ' ') AS grouped, txpipe.html(v.name, 60) AS html,
           CASE WHEN v.slide < interval '1 min' THEN 'HH24:MI:SS' WHEN v.slide <= interval '1 hour' THEN 'HH24:MI'
                WHEN v.slide < interval '1 day' THEN 'Dy HH24:MI' ELSE 'FMDD Mon' END AS pattern
    INTO w FROM txpipe.window v WHERE v.window_id = dashboard_window.window_id;
    WITH e AS MATERIALIZED (SELECT v.window_start, v.kind, v.events FROM txpipe.window_events(dashboard_window.window_id, shown) v),
    s AS MATERIALIZED (SELECT w.newest - g * w.slide AS at, shown - g AS n FROM generate_series(0, shown - 1) AS g),
    k AS (SELECT e.kind, sum(e.events) AS total, coalesce(sum(e.events) FILTER (WHERE e.window_start = w.newest), 0) AS now,
                 ARRAY(SELECT coalesce((SELECT x.events FROM e x WHERE x.window_start = s.at AND x.kind IS NOT DISTINCT FROM e.kind), 0)
                       FROM s ORDER BY s.n) AS series
          FROM e GROUP BY e.kind)
    SELECT (SELECT array_agg(to_char(s.at, w.pattern) ORDER BY s.n) FROM s),
           (SELECT array_agg(coalesce((SELECT sum(e.events) FROM e WHERE e.window_start = s.at), 0) ORDER BY s.n) FROM s),
           (SELECT string_agg(format('<tr><th scope="row">%s</th><td>%s</td><td class="n">%s</td><td class="n">%s</td></tr>',
                       regexp_replace(n.name, '([a-z])([A-Z])', '\1<wbr/>\2', 'g'),
                       txpipe.svg_spark(k.series, format('%s: %s to %s', n.name, txpipe.html_number((SELECT min(v) FROM unnest(k.series) v)),
                                                         txpipe.html_number((SELECT max(v) FROM unnest(k.series) v))), false),
                       txpipe.html_number(k.now), txpipe.html_number(k.total)), '' ORDER BY k.kind IS NULL, k.total DESC, k.kind COLLATE "C")
            FROM k CROSS JOIN LATERAL (SELECT CASE WHEN k.kind IS NULL THEN 'all others' WHEN k.kind = '' THEN 'all'
                                                   ELSE txpipe.html(k.kind, 60) END AS name) n)
    INTO labels, sums, kinds;
    IF kinds IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN format('<div class="card"><div class="head wide"><h3>%s</h3><p class="soft">events every %s, the newest so far</p></div>%s</div>',
                  txpipe.html_name(w.name), w.every,
                  txpipe.svg_columns(chart, 'Events of ' || w.html, format('Windows every %s, from %s to %s', w.every, labels[1], labels[shown]),
                      ARRAY['Window', 'Events'], labels, sums, NULL,
                      format('<div class="ticks" aria-hidden="true">%s</div>',
                             (SELECT string_agg('<span>' || to_char(w.newest + (i - shown + 1) * w.slide, w.pattern) || '</span>', '' ORDER BY i)
                              FROM generate_series(0, shown, shown / 4) AS i))))
        || format('<div class="card"><h3>By %s</h3>%s</div>', coalesce(txpipe.html_name(w.grouped), 'window'),
                  txpipe.html_table('Events of ' || w.html, ARRAY[coalesce(txpipe.html(upper(left(w.grouped, 1)) || substr(w.grouped, 2), 30), 'Events'),
                                    'Every ' || w.every, '>Newest', '>All'], kinds));
EXCEPTION
    -- What its owner has done to the table is no reason to show nothing else.
    WHEN OTHERS THEN
        RETURN NULL;
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_window(integer, text) IS
'The newest windows of a stream as two cards: all events as a chart, whose id is given, and events by kind. NULL: there are none, or they
cannot be read. Part of dashboard()';

CREATE FUNCTION txpipe.dashboard_live()
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    cards text;
BEGIN
    -- Of each stream the finest window; the streams with the newest events.
    SELECT string_agg('<div class="pair">' || c.cards || '</div>', '' ORDER BY c.n) INTO cards
    FROM (SELECT x.n, txpipe.dashboard_window(x.window_id, 'window-' || x.n) AS cards
          FROM (SELECT f.window_id, row_number() OVER (ORDER BY f.watermark DESC, f.name) AS n
                FROM (SELECT DISTINCT ON (w.stream) w.window_id, w.watermark, w.name
                      FROM txpipe.window w
                      WHERE w.watermark IS NOT NULL AND w.kind <> 'session'
                        AND EXISTS (SELECT FROM jsonb_each_text(w.aggregates) a WHERE a.value ~* '^\s*count\s*\(\s*\*\s*\)\s*$')
                      ORDER BY w.stream, w.slide, cardinality(w.group_by), w.name) f) x
          WHERE x.n <= 4) c;
    RETURN '<section aria-labelledby="live"><h2 id="live">Live events</h2>' || cards || '</section>';
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_live() IS
'Part of dashboard(): the section Live events: for each of at most four streams, the finest of its windows that count events. NULL: the caller may read none';

CREATE FUNCTION txpipe.dashboard_start()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT $html$<section aria-labelledby="start"><h2 id="start">Start here</h2><div class="card"><p>There is nothing to show yet: no stream, feed or warehouse that this role may see.</p><ol class="start">
<li><h3>See what the installation lacks</h3><code>SELECT * FROM txpipe.check_setup();</code></li>
<li><h3>Turn a Kafka topic into a table</h3><code>CREATE SERVER shop FOREIGN DATA WRAPPER txpipe_kafka OPTIONS (bootstrap_servers &#39;localhost:9092&#39;);
SELECT txpipe.create_stream(&#39;orders&#39;, &#39;shop&#39;, &#39;orders&#39;);</code></li>
<li><h3>Turn hourly files into a warehouse</h3><code>SELECT txpipe.create_warehouse();
CALL txpipe.run_hourly();</code></li></ol></div></section>$html$
$body$;
COMMENT ON FUNCTION txpipe.dashboard_start() IS 'Part of dashboard(): what it shows where there is nothing to show';

-- Without sales nothing of dwh is touched, whoever makes one meanwhile.
CREATE FUNCTION txpipe.dashboard_page(with_sales boolean)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
DECLARE
    alerts CONSTANT text := txpipe.dashboard_alerts();
    live CONSTANT text := txpipe.dashboard_live();
    streams CONSTANT text := txpipe.dashboard_streams();
    recent CONSTANT txpipe.recent_files[] := ARRAY(SELECT r FROM txpipe.recent_files r);
    files CONSTANT text := txpipe.dashboard_files(recent);
    sales CONSTANT text := CASE WHEN with_sales THEN txpipe.dashboard_sales() END;
    nothing CONSTANT boolean := coalesce(streams, files, sales) IS NULL;
    overview CONSTANT text := CASE WHEN NOT nothing AND coalesce(streams, files) IS NOT NULL THEN txpipe.dashboard_overview(recent) END;
    title CONSTANT text := 'Pipelines of ' || txpipe.html(current_database());
    setting CONSTANT text := current_setting('txpipe.dashboard_interval', true);
    reload CONSTANT text := CASE WHEN setting ~ '^[1-9]\d*(ms|s|min|h|d)$'
                                 THEN greatest(ceil(extract(epoch FROM setting::interval)), 1)::text END;
    links text;
BEGIN
    SELECT string_agg(format('<li><a href="#%s">%s</a></li>', v.id, v.name), '' ORDER BY v.n) INTO links
    FROM (VALUES (1, 'health', 'Health', overview), (2, 'alerts', 'Alerts', alerts), (3, 'live', 'Live events', live),
                 (4, 'streams', 'Streams', streams), (5, 'files', 'Files and runs', files), (6, 'sales', 'Sales', sales)) v (n, id, name, html)
    WHERE v.html IS NOT NULL;
    RETURN concat(
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"/><meta http-equiv="Content-Security-Policy" content="default-src ''none''; '
        'style-src ''unsafe-inline''"/><meta name="viewport" content="width=device-width, initial-scale=1"/><meta name="color-scheme" content="light dark"/>'
        '<meta name="robots" content="noindex"/>', '<meta http-equiv="refresh" content="' || reload || '"/>', '<title>', title, '</title><style>', txpipe.dashboard_style(),
        '</style></head><body><a class="skip" href="#content">Skip to the content</a><header class="top"><div class="wrap"><div class="brand">'
        '<svg viewBox="0 0 38 38" aria-hidden="true"><rect width="38" height="38" rx="10" fill="#2957c8"/><path d="M9 13h8c6 0 4 12 10 12h2M9 25h8c2 0 3-1 4-3'
        'M23 16c1-2 2-3 4-3h2" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg><div><p class="soft">txpipe</p><h1>', 'Pipelines of ',
        txpipe.html_name(current_database()), '</h1></div></div><p class="soft">As of ',
        format('<time datetime="%s">%s</time>', to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               txpipe.html(to_char(statement_timestamp(), 'FMDD Mon YYYY HH24:MI:SS TZ'))), '</p>',
        '<nav aria-label="Sections"><ul>' || links || '</ul></nav>', '</div></header><main id="content" tabindex="-1"><div class="wrap">',
        overview, alerts, live, streams, files, sales, CASE WHEN nothing THEN txpipe.dashboard_start() END,
        '</div></main><footer class="wrap"><p class="soft">Made by txpipe ', txpipe.html((SELECT e.extversion FROM pg_extension e WHERE e.extname = 'txpipe')),
        ' for ', txpipe.html_name(current_user::text), ': what this role may not read is left out.</p></footer></body></html>', E'\n');
END
$body$;
COMMENT ON FUNCTION txpipe.dashboard_page(boolean) IS
'Part of dashboard() and export_dashboard(): the page, with the section Sales or without looking for it';

CREATE FUNCTION txpipe.dashboard()
RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT txpipe.dashboard_page(true)
$body$;
COMMENT ON FUNCTION txpipe.dashboard() IS
'One self-contained HTML page about the pipelines of this database: what needs attention, alerts, live events, streams, files and runs,
twelve months of sales. No script, no network. Runs as the caller: what he may not read is left out. Times are in the
session''s time zone. Where txpipe.dashboard_interval is not 0 the page reloads itself that often';

CREATE FUNCTION txpipe.export_dashboard()
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    owner CONSTANT name := (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = 'dwh');
BEGIN
    -- What stands in dwh is its owner's: reading it with other rights would lend him those.
    IF owner <> current_user THEN
        RAISE EXCEPTION 'export_dashboard must be called by the owner of the schema dwh' USING
            ERRCODE = 'insufficient_privilege',
            DETAIL = format('The owner is %s, the caller %s.', quote_ident(owner), quote_ident(current_user)),
            HINT = 'Let the owner schedule the export, or SET ROLE to him.';
    END IF;
    RETURN txpipe.write_export('dashboard.html', txpipe.dashboard_page(owner IS NOT NULL));
END
$body$;
COMMENT ON FUNCTION txpipe.export_dashboard() IS
'Writes txpipe.dashboard() to dashboard.html below txpipe.export_directory, as its caller sees it, and returns the path.
Where there is a schema dwh it is for its owner, who needs EXECUTE on it and on write_export. Errors: those of
txpipe.write_export; 42501 for others than that owner.';
