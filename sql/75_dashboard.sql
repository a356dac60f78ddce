-- 75_dashboard.sql: what the dashboard is made of: texts, numbers, times and charts as HTML.
--
-- Everything that comes from a table passes html(), html_name() or a function that gives digits only.

CREATE FUNCTION txpipe.html(value text, longest integer DEFAULT 300)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $body$
BEGIN
    IF length(value) > longest THEN
        value := left(value, longest) || '…';
    END IF;
    -- Control characters, and those that turn the direction of the text around them.
    value := regexp_replace(value, '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]',
                            U&'\FFFD', 'g');
    RETURN replace(replace(replace(replace(replace(value, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'),
                           '"', '&quot;'), '''', '&#39;');
END
$body$;
COMMENT ON FUNCTION txpipe.html(text, integer) IS
'Text that is safe in HTML, as content and in quoted attributes: &, <, >, quotes escaped; control characters and those
that override the direction of text replaced by U+FFFD; cut after so many characters. Part of dashboard()';

CREATE FUNCTION txpipe.html_name(value text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RETURN '<bdi>' || txpipe.html(value, 120) || '</bdi>';
END
$body$;
COMMENT ON FUNCTION txpipe.html_name(text) IS 'A name as HTML whose direction is kept apart from its surroundings. Part of dashboard()';

CREATE FUNCTION txpipe.html_number(value numeric, digits integer DEFAULT 0)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    rounded CONSTANT numeric := round(abs(value), digits);
    text_form text;
BEGIN
    IF value IN ('NaN', 'Infinity', '-Infinity') THEN
        RETURN 'n/a';
    END IF;
    text_form := to_char(trunc(rounded), 'FM999,999,999,999,999,999,999,999,990');
    IF digits > 0 THEN
        text_form := text_form || '.' || split_part(rounded::text, '.', 2);
    END IF;
    RETURN CASE WHEN value < 0 AND rounded > 0 THEN '−' ELSE '' END || text_form;
END
$body$;
COMMENT ON FUNCTION txpipe.html_number(numeric, integer) IS
'A number with commas between thousands and so many digits after the point, whatever the locale. Part of dashboard()';

CREATE FUNCTION txpipe.html_short(value numeric)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    size CONSTANT numeric := abs(value);
BEGIN
    IF value IN ('NaN', 'Infinity', '-Infinity') THEN
        RETURN 'n/a';
    END IF;
    -- What would round up to 1,000 belongs to the next unit.
    RETURN CASE WHEN size < 9999.5 THEN
                    txpipe.html_number(value, CASE WHEN size < 100 AND value <> trunc(value) THEN 1 ELSE 0 END)
                WHEN size < 999950 THEN replace(txpipe.html_number(value / 1e3, 1) || ' k', '.0 ', ' ')
                WHEN size < 999950000 THEN replace(txpipe.html_number(value / 1e6, 1) || ' M', '.0 ', ' ')
                WHEN size < 999950000000 THEN replace(txpipe.html_number(value / 1e9, 1) || ' G', '.0 ', ' ')
                ELSE replace(txpipe.html_number(value / 1e12, 1) || ' T', '.0 ', ' ') END;
END
$body$;
COMMENT ON FUNCTION txpipe.html_short(numeric) IS 'A number in at most eight characters, with k, M, G or T. Part of dashboard()';

CREATE FUNCTION txpipe.html_duration(seconds numeric)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    seconds := greatest(seconds, 0);
    RETURN CASE WHEN seconds < 0.9995 THEN txpipe.html_number(seconds * 1000) || ' ms'
                WHEN seconds < 9.95 THEN txpipe.html_number(seconds, 1) || ' s'
                WHEN seconds < 119.5 THEN txpipe.html_number(seconds) || ' s'
                WHEN seconds < 7200 THEN txpipe.html_number(trunc(seconds / 60)) || ' min'
                WHEN seconds < 172800 THEN txpipe.html_number(trunc(seconds / 3600)) || ' h'
                ELSE txpipe.html_number(trunc(seconds / 86400)) || ' days' END;
END
$body$;
COMMENT ON FUNCTION txpipe.html_duration(numeric) IS 'So many seconds in the unit that suits: 12 ms, 3 min, 5 days. Part of dashboard()';

CREATE FUNCTION txpipe.html_age(at timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    age CONSTANT numeric := extract(epoch FROM statement_timestamp() - at);
BEGIN
    RETURN format('<time datetime="%s">%s</time>', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                  CASE WHEN age < 5 THEN 'just now' WHEN age < 60 THEN txpipe.html_number(trunc(age)) || ' s ago'
                       ELSE txpipe.html_duration(age) || ' ago' END);
END
$body$;
COMMENT ON FUNCTION txpipe.html_age(timestamptz) IS 'A time as its age, with the exact time for machines. Part of dashboard()';

CREATE FUNCTION txpipe.html_state(state text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    kind CONSTANT text := CASE
        WHEN state IN ('running', 'succeeded', 'loaded', 'low') THEN 'good'
        WHEN state IN ('error', 'failed', 'poison', 'rejected', 'critical', 'high') THEN 'bad'
        WHEN state IN ('waiting', 'changed', 'loaded_with_rejects', 'medium') THEN 'warn'
        ELSE 'idle' END;
BEGIN
    RETURN format('<span class="pill %s">%s</span>', kind, txpipe.html(replace(state, '_', ' '), 40));
END
$body$;
COMMENT ON FUNCTION txpipe.html_state(text) IS 'A state as a coloured label that says its name. Part of dashboard()';

CREATE FUNCTION txpipe.html_change(now numeric, before numeric)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    change CONSTANT numeric := round(100 * (now - before) / nullif(before, 0), 1);
BEGIN
    RETURN CASE WHEN change IS NULL THEN 'no year before to compare with'
                WHEN change = 0 THEN 'as the year before'
                ELSE format('<span class="%s">%s %s %%</span> on the year before',
                            CASE WHEN change > 0 THEN 'up' ELSE 'down' END, CASE WHEN change > 0 THEN '▲' ELSE '▼' END,
                            txpipe.html_number(change, 1)) END;
END
$body$;
COMMENT ON FUNCTION txpipe.html_change(numeric, numeric) IS 'The change from an earlier number in per cent, in words. Part of dashboard()';

CREATE FUNCTION txpipe.html_tile(label text, value text, note text, spark text DEFAULT '')
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RETURN format('<li class="card tile"><p class="label">%s</p><p class="value">%s</p><p class="note">%s</p>%s</li>',
                  label, coalesce(value, '–'), coalesce(note, ''), coalesce(spark, ''));
END
$body$;
COMMENT ON FUNCTION txpipe.html_tile(text, text, text, text) IS 'A figure with its name, a note and a small chart; arguments are HTML. Part of dashboard()';

CREATE FUNCTION txpipe.html_table(caption text, heads text[], body text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- A name that begins with > is of a column of numbers.
    head CONSTANT text := (SELECT string_agg(CASE WHEN h LIKE '>%' THEN '<th scope="col" class="n">' || substr(h, 2)
                                                  ELSE '<th scope="col">' || h END || '</th>', '' ORDER BY n)
                           FROM unnest(heads) WITH ORDINALITY AS u (h, n));
BEGIN
    RETURN format('<div class="scroll" role="group" aria-label="%s" tabindex="0"><table%s><caption class="sr">%1$s</caption>'
                  '<thead><tr>%3$s</tr></thead><tbody>%4$s</tbody></table></div>', caption,
                  CASE WHEN cardinality(heads) > 4 THEN ' class="wide"' ELSE '' END, head, body);
END
$body$;
COMMENT ON FUNCTION txpipe.html_table(text, text[], text) IS
'A table that scrolls by itself where it is too wide; arguments are HTML, body its rows. Part of dashboard()';

CREATE FUNCTION txpipe.html_bar(part numeric, whole numeric)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RETURN format('<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect class="track" '
                  'width="100" height="1"/><rect width="%s" height="1"/></svg>',
                  coalesce(round(100 * greatest(part, 0) / nullif(whole, 0), 1), 0));
END
$body$;
COMMENT ON FUNCTION txpipe.html_bar(numeric, numeric) IS 'A part of a whole as a bar beside its number. Part of dashboard()';

CREATE FUNCTION txpipe.svg_spark(series numeric[], title text, from_zero boolean DEFAULT true)
RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    steps CONSTANT integer := cardinality(series) - 1;
    top CONSTANT numeric := (SELECT max(v) FROM unnest(series) AS v);
    least CONSTANT numeric := (SELECT min(v) FROM unnest(series) AS v);
    base CONSTANT numeric := CASE WHEN from_zero THEN 0 ELSE greatest(2 * least - top, 0) END;
    points text;
BEGIN
    IF steps < 1 THEN
        RETURN '';
    END IF;
    SELECT string_agg(format('%s,%s', round(120.0 * (n - 1) / steps, 1), round(30 - 28 * greatest(v - base, 0) / greatest(top - base, 1), 1)), ' ' ORDER BY n)
        INTO points FROM unnest(series) WITH ORDINALITY AS u (v, n);
    RETURN format('<svg class="spark" viewBox="0 0 120 32" preserveAspectRatio="none" role="img"><title>%s</title>'
                  '<polygon points="0,32 %s 120,32"/><polyline points="%2$s"/></svg>', title, points);
END
$body$;
COMMENT ON FUNCTION txpipe.svg_spark(numeric[], text, boolean) IS
'A series of values as a small line, titled for those who do not see it (HTML); from 0, or from as far below its least value
as it varies. Part of dashboard()';

-- A round number that four steps of reach the largest value.
CREATE FUNCTION txpipe.chart_step(largest numeric)
RETURNS numeric
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    least_step CONSTANT numeric := greatest(largest / 4, 1);
    power CONSTANT numeric := power(10::numeric, floor(log(least_step)));
BEGIN
    RETURN (SELECT min(power * s) FROM unnest(ARRAY[1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10]) AS s
            WHERE power * s >= least_step AND power * s = trunc(power * s));
END
$body$;
COMMENT ON FUNCTION txpipe.chart_step(numeric) IS 'Distance of the four lines of a chart. Part of dashboard()';

CREATE FUNCTION txpipe.svg_columns(chart text, title text, description text, heads text[], labels text[],
                                   series numeric[], earlier numeric[], ticks text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    step CONSTANT numeric := txpipe.chart_step(coalesce((SELECT max(v) FROM unnest(series || earlier) AS v), 0));
    slot CONSTANT numeric := 1000.0 / greatest(cardinality(series), 1);
    scale text;
    columns text;
    body text;
BEGIN
    SELECT string_agg(format('<span>%s</span>', txpipe.html_short(step * n)), '' ORDER BY n DESC)
        INTO scale FROM generate_series(0, 4) AS n;
    SELECT string_agg(
               CASE WHEN before IS NULL THEN ''
                    ELSE format('<rect class="earlier" x="%s" y="%s" width="%s" height="%s"><title>%s, %s: %s</title></rect>',
                                round(slot * (n - 0.92), 2), 200 - height_before, round(slot * 0.84, 2), height_before, label,
                                heads[3], txpipe.html_number(before)) END
               || format('<rect x="%s" y="%s" width="%s" height="%s"><title>%s: %s</title></rect>',
                   round(slot * (n - CASE WHEN earlier IS NULL THEN 0.9 ELSE 0.77 END), 2), 200 - height,
                   round(slot * CASE WHEN earlier IS NULL THEN 0.8 ELSE 0.54 END, 2), height, label,
                   txpipe.html_number(v)), '' ORDER BY n),
           string_agg(format('<tr><th scope="row">%s</th><td class="n">%s</td>', label, txpipe.html_number(v))
               || CASE WHEN earlier IS NULL THEN ''
                       ELSE format('<td class="n">%s</td>', coalesce(txpipe.html_number(before), '–')) END || '</tr>', '' ORDER BY n)
        INTO columns, body
        FROM (SELECT n, v, b AS before, l AS label, round(200 * greatest(v, 0) / (4 * step), 2) AS height,
                     round(200 * greatest(b, 0) / (4 * step), 2) AS height_before
              FROM unnest(series, earlier, labels) WITH ORDINALITY AS u (v, b, l, n)) s;
    RETURN format('<figure class="chart"><div class="plot"><div class="scale" aria-hidden="true">%1$s</div><svg viewBox="0 0 1000 200" '
                  'preserveAspectRatio="none" role="img" aria-labelledby="%2$s-title %2$s-text"><title id="%2$s-title">%3$s</title>'
                  '<desc id="%2$s-text">%4$s</desc><path class="grid" d="M0 0H1000M0 50H1000M0 100H1000M0 150H1000M0 200H1000"/>%5$s</svg>'
                  '</div>%6$s<details><summary>The numbers<span class="sr"> of %3$s</span></summary>%7$s</details></figure>',
                  scale, chart, title, description, columns, ticks,
                  txpipe.html_table('Numbers of ' || title, ARRAY[heads[1], '>' || heads[2]]
                                    || CASE WHEN earlier IS NULL THEN '{}' ELSE ARRAY['>' || heads[3]] END, body));
END
$body$;
COMMENT ON FUNCTION txpipe.svg_columns(text, text, text, text[], text[], numeric[], numeric[], text) IS
'A chart of columns with its numbers as a table. Arguments: an id; title, description, heads of the table, a label for
each column (all HTML); the values; the same of the year before, or NULL; HTML of the labels below. Part of dashboard()';
