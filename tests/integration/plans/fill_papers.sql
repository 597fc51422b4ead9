-- Two years of invoices of 100 merchants in three states.
INSERT INTO reconciliation.invoices (id, number, state_code, financial_year, sequence, merchant_id, month, place_of_supply,
  taxable_paise, cgst_paise, sgst_paise, igst_paise, rounding_paise, payable_paise, content_sha256, issued_at, issued_by,
  content, pdf)
SELECT md5('invoice ' || s || ' ' || m || ' ' || t)::uuid, s || '-' || m || '-' || t, s::text, 2024 + m / 12,
  (m % 12) * 100 + t + 1, md5('merchant ' || t)::uuid, date '2024-04-01' + m * interval '1 month', '29', 10000, 900, 900, 0, 0,
  11800, sha256('x'), now(), 'fill', '{}', repeat('x', 3000)::bytea
FROM unnest(ARRAY[27, 29, 33]) AS s CROSS JOIN generate_series(0, 23) AS m CROSS JOIN generate_series(0, 99) AS t;
