# The product's image for people with Docker; `lab/cmd/image` builds the same content without it.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=0.1.0
RUN for program in controller netlb speaker; do \
      CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace \
        -ldflags "-s -w -X github.com/kontena/network-lb/cmd/internal/process.Version=$VERSION" -o /out/$program ./cmd/$program || exit 1; \
    done

FROM scratch
COPY --from=build /out/controller /out/netlb /out/speaker /
USER 65532:65532
