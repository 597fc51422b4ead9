"""What every gRPC server of ours shares: errors, identity, access, validation, paging, and the server itself."""
