// Shows the description of the API that the page names.
"use strict";

const place = document.getElementById("api-docs");
SwaggerUIBundle({
  domNode: place,
  url: place.dataset.url,
  deepLinking: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
});
