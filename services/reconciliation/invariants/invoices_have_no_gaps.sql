-- The numbers of invoices of a state and a financial year are 1, 2, 3 and so on. Returns the years of which that is not so.
SELECT state_code, financial_year, count(*) AS invoices, max(sequence) AS last_sequence
FROM reconciliation.invoices
GROUP BY state_code, financial_year
HAVING count(*) <> max(sequence);
