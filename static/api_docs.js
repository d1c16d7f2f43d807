// Render the OpenAPI document that the page links to.
"use strict";

const container = document.getElementById("api-docs");
SwaggerUIBundle({
  domNode: container,
  url: container.dataset.url,
  deepLinking: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
});
