window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    filter: true,
    displayRequestDuration: true,
    validatorUrl: null,
  });
});
