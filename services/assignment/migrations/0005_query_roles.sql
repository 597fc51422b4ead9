-- Queries log in as roles that can read, and nothing else, so that no mistake of theirs can hold up or change anything.
--
-- assignment_query logs in to the standby. assignment_fallback logs in to the primary, where queries may use a few
-- connections while no standby can answer: its limit holds for all processes together. Each of their transactions takes
-- one of the two readers, as the api's take assignment_tenant or assignment_operator.
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['assignment_tenant_reader', 'assignment_operator_reader', 'assignment_query', 'assignment_fallback'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
END $$;
ALTER ROLE assignment_query NOINHERIT;
ALTER ROLE assignment_fallback NOINHERIT CONNECTION LIMIT 16;
ALTER ROLE assignment_query SET default_transaction_read_only = on;
ALTER ROLE assignment_fallback SET default_transaction_read_only = on;
GRANT assignment_tenant_reader, assignment_operator_reader TO assignment_query, assignment_fallback
  WITH INHERIT FALSE, SET TRUE;
GRANT USAGE ON SCHEMA assignment TO assignment_tenant_reader, assignment_operator_reader;

-- What a merchant's queries read, and only its own rows of it.
GRANT SELECT ON assignment.cities, assignment.merchants, assignment.merchant_partners, assignment.deliveries,
  assignment.delivery_references, assignment.delivery_changes, assignment.offers, assignment.explanations
  TO assignment_tenant_reader, assignment_operator_reader;
GRANT SELECT ON assignment.partners, assignment.partner_networks, assignment.windows TO assignment_operator_reader;
DO $$
DECLARE table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['merchant_partners', 'deliveries', 'delivery_references', 'delivery_changes', 'offers', 'explanations'] LOOP
    EXECUTE format('CREATE POLICY tenant_reads ON assignment.%I FOR SELECT TO assignment_tenant_reader USING (merchant_id = ANY (assignment.current_merchant_ids()))', table_name);
    EXECUTE format('CREATE POLICY operator_reads ON assignment.%I FOR SELECT TO assignment_operator_reader USING (true)', table_name);
  END LOOP;
END $$;
CREATE POLICY tenant_reads ON assignment.merchants FOR SELECT TO assignment_tenant_reader
  USING (id = ANY (assignment.current_merchant_ids()));
CREATE POLICY operator_reads ON assignment.merchants FOR SELECT TO assignment_operator_reader USING (true);
