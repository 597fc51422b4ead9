-- What the desk books is to be in the cycles of its payee, as what runs find is: whoever books it sees where partners work.
GRANT SELECT ON reconciliation.partner_versions TO reconciliation_operator;
